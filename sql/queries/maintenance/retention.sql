-- How much older than $1 days was removed: again until it is 0.
select minuted.partitions_drop($1::int)
