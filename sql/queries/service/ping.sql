-- One row, when PostgreSQL answers.
select 1
