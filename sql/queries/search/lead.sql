-- (bool) whether this connection is the one that makes pages, until it ends
select pg_try_advisory_lock(hashtextextended('minuted.search_pages', 0))
