-- How many partitions had to be made for the months ahead.
select minuted.partitions_ensure()
