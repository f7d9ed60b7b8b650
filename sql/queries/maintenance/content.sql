-- How many texts older than $1 days were removed: again until it is 0.
select minuted.content_expire($1::int)
