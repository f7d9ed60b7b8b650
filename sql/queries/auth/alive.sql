-- 1: the connection works.
select 1
