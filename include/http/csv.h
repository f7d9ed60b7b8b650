/*
 * csv.h - a cell of a CSV file (RFC 4180), safe to open in a spreadsheet.
 */
#ifndef HTTP_CSV_H
#define HTTP_CSV_H

#include "base/buf.h"

/*
 * Appends text, quoted where that is needed; NULL is an empty cell.  A cell
 * that a spreadsheet would take for a formula (begins with = + - @, a tab or a
 * carriage return, and is no number) gets a leading '.
 */
void csv_cell(struct buf *out, const char *text);

#endif /* HTTP_CSV_H */
