# statements.awk - SQL files become C: the statements, the migrations, the
# administrator's views and the price list, as strings of one source file.
#
#   awk -v out=DIR -f sql/statements.awk sql/queries/*/*.sql sql/migrations/*.sql
#
# writes DIR/db/statements.h and DIR/statements.c.  sql/admin.sql and
# sql/prices.json are always taken, named or not.  POSIX awk; tried with mawk.
#
# A query with a line "-- planned anew: ..." is not prepared but planned at each
# use: for one with filters that may be absent, where one plan cannot be good.
# One with a line "-- in binary: ..." has its columns as PostgreSQL sends them
# fastest: ids, numbers and times are not text.

BEGIN {
	if (out == "") {
		print "statements.awk: -v out=DIR is missing" > "/dev/stderr"
		failed = 1
		exit 1
	}
	system("mkdir -p '" out "/db'")
	header = out "/db/statements.h"
	source = out "/statements.c"
	print "/* Made by sql/statements.awk. */" > source
	print "#include \"db/statements.h\"\n" > source
	print "#pragma GCC diagnostic ignored \"-Woverlength-strings\"\n" > source
	if (ARGC == 1) { # without a file awk would read standard input
		ARGV[1] = "/dev/null"
		ARGC = 2
	}
}

FNR == 1 {
	begin_file(FILENAME)
}

kind == "statement" && /^-- planned anew/ {
	anew[statements] = 1
}

kind == "statement" && /^-- in binary/ {
	binary[statements] = 1
}

kind != "" {
	print "\t\"" quoted($0) "\\n\"" > source
	if (kind == "statement")
		count_parameters($0)
}

END {
	if (failed)
		exit 1
	end_file()
	embed("sql/admin.sql", "db_admin_sql")
	embed("sql/prices.json", "db_prices_json")
	write_tables()
	write_header()
	close(source)
	close(header)
	if (failed)
		exit 1
}

function begin_file(path,    parts, n, name) {
	end_file()
	kind = ""
	n = split(path, parts, "/")
	name = parts[n]
	if (path ~ /(^|\/)queries\/[^\/]+\/[^\/]+\.sql$/) {
		sub(/\.sql$/, "", name)
		name = parts[n - 1] "_" name
		gsub(/-/, "_", name)
		if (name !~ /^[a-z][a-z0-9_]*$/)
			fail(path, "the name has to be lower case letters, digits and -")
		if (name in seen)
			fail(path, "another file gives the same name")
		seen[name] = 1
		kind = "statement"
		statement[++statements] = name
		parameters[statements] = 0
		print "static const char text_" statements "[] =" > source
	} else if (path ~ /(^|\/)migrations\/[0-9]+_[a-z0-9_]+\.sql$/) {
		sub(/\.sql$/, "", name)
		kind = "migration"
		migration[++migrations] = name
		print "static const char migration_" migrations "[] =" > source
	} else if (path !~ /(admin\.sql|prices\.json)$/)
		fail(path, "neither a query nor a migration")
}

function end_file() {
	if (kind != "")
		print "\t\"\";\n" > source
	kind = ""
}

function fail(path, why) {
	print path ": " why > "/dev/stderr"
	failed = 1
}

# The inside of a C string literal: \ and " escaped, no trigraphs, no tabs.
function quoted(text) {
	gsub(/\\/, "&&", text)
	gsub(/"/, "\\\"", text)
	gsub(/[?]/, "\\?", text)
	gsub(/\t/, "\\t", text)
	gsub(/\r/, "", text)
	return text
}

function count_parameters(line,    number) {
	sub(/^[ \t]*--.*/, "", line)
	sub(/[ \t]--[ \t].*/, "", line)
	while (match(line, /[$][0-9]+/)) {
		number = substr(line, RSTART + 1, RLENGTH - 1) + 0
		if (number > parameters[statements])
			parameters[statements] = number
		line = substr(line, RSTART + RLENGTH)
	}
}

function embed(path, name,    line) {
	print "const char " name "[] =" > source
	while ((getline line < path) > 0)
		print "\t\"" quoted(line) "\\n\"" > source
	close(path)
	print "\t\"\";\n" > source
}

function write_tables(    i) {
	print "const struct db_statement db_statements[DB_STMT_COUNT + 1] = {" > source
	for (i = 1; i <= statements; i++)
		print "\t{ \"" statement[i] "\", text_" i ", " parameters[i] ", " anew[i] + 0 ", " binary[i] + 0 " }," > source
	print "\t{ 0, 0, 0, 0, 0 },\n};\n" > source
	print "const struct migration db_migrations[] = {" > source
	for (i = 1; i <= migrations; i++)
		print "\t{ \"" migration[i] "\", migration_" i " }," > source
	print "\t{ 0, 0 },\n};\n" > source
	print "const size_t db_migrations_len = " migrations + 0 ";" > source
}

function write_header(    i) {
	print "/* Made by sql/statements.awk. */" > header
	print "#ifndef DB_STATEMENTS_H\n#define DB_STATEMENTS_H\n" > header
	print "#include <stddef.h>\n" > header
	print "enum db_stmt {" > header
	for (i = 1; i <= statements; i++)
		print "\tDB_" toupper(statement[i]) "," > header
	print "\tDB_STMT_COUNT\n};\n" > header
	print "struct db_statement {\n\tconst char *name;\n\tconst char *text;" > header
	print "\tint nparams;\n\tint anew;   /* planned at each use */\n\tint binary; /* its columns */\n};\n" > header
	print "/* A migration, in the order of their names. */" > header
	print "struct migration {\n\tconst char *name;\n\tconst char *sql;\n};\n" > header
	print "extern const struct db_statement db_statements[DB_STMT_COUNT + 1];" > header
	print "extern const struct migration db_migrations[];" > header
	print "extern const size_t db_migrations_len;" > header
	print "extern const char db_admin_sql[];   /* sql/admin.sql */" > header
	print "extern const char db_prices_json[]; /* sql/prices.json */" > header
	print "\n#endif /* DB_STATEMENTS_H */" > header
}
