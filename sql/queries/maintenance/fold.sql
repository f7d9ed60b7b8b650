-- How many usage deltas were folded into their hours.
select minuted.usage_fold()
