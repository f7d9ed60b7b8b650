# openapi.awk - the OpenAPI document as it is served, from src/api/openapi.json.
#
#   awk -f src/api/openapi.awk src/api/openapi.json >openapi.json
#
# The source is JSON with two abbreviations, each on a line of its own:
#
#   "/path": { "x-same-as": "/other" }   as the path above that it names
#   "x-errors": "400 404"                those errors, and any other as default,
#                                        in the shape of the path's clients
#
# A path begins and ends at two tabs.  POSIX awk; tried with mawk.

/^\t\t"\/.*": \{$/ {
	path = between($0, "\"", "\"")
	lines = 0
}

/^\t\t"\/.*": \{ "x-same-as": ".*" \},?$/ {
	alias($0)
	next
}

{
	if (path != "")
		block[path, ++lines] = $0
	put($0, path)
}

/^\t\t\},?$/ {
	count[path] = lines
	path = ""
}

END {
	exit failed
}

function between(text, from, to) {
	text = substr(text, index(text, from) + length(from))
	return substr(text, 1, index(text, to) - 1)
}

function alias(line,    own, other, i) {
	own = between(line, "\"", "\"")
	other = between(line, "\"x-same-as\": \"", "\"")
	if (!(other in count)) {
		print FILENAME ": " own ": no " other " above it" > "/dev/stderr"
		failed = 1
		return
	}
	put("\"" own "\": {\n\"x-same-as\": \"" other "\",", own)
	for (i = 2; i < count[other]; i++)
		put(renamed(block[other, i], own, other), own)
	put(line ~ /,$/ ? "}," : "}", own)
}

# An operationId is unique: that of an alias has its path in it.
function renamed(line, own, other) {
	if (line !~ /"operationId": /)
		return line
	gsub(/[^A-Za-z0-9]+/, "_", own)
	sub(/_$/, "", own)
	sub(/"operationId": "[^"]*/, "&" own, line)
	sub(/"summary": "/, "&As " other ": ", line)
	return line
}

function put(line, own,    codes, n, i, shape, refs) {
	sub(/^\t+/, "", line)
	if (line ~ /^"x-errors": /) {
		shape = own ~ /^\/v1/ ? "OpenAI" : "Problem"
		n = split(between(line, ": \"", "\""), codes, " ")
		for (i = 1; i <= n; i++)
			refs = refs ref(codes[i], shape codes[i]) ",\n"
		line = refs ref("default", shape)
	}
	if (line != "")
		print line
}

function ref(code, name) {
	return "\"" code "\": { \"$ref\": \"#/components/responses/" name "\" }"
}
