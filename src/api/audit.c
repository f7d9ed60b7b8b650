/*
 * audit.c - security events.
 */
#include "api/audit.h"

#include "base/log.h"
#include "db/db.h"

enum err
audit_row(struct http_request *req, const struct audit *event)
{
	const char *args[] = { event->user_id, event->action, req->remote_addr,
		event->object, req->id };

	return db_query(req->db, DB_AUDIT_ADD, args, NULL);
}

void
audit_line(const struct http_request *req, const struct audit *event)
{
	const struct log_field fields[] = {
		{ .name = "event", .text = event->action },
		{ .name = "user",
		    .text = event->user_id == NULL ? "" : event->user_id },
		{ .name = "object",
		    .text = event->object == NULL ? "" : event->object },
		{ .name = "address",
		    .text = req->remote_addr == NULL ? "" : req->remote_addr },
		{ .name = "request_id", .text = req->id },
	};

	log_fields(LOG_INFO, "security", fields,
	    (int)(sizeof(fields) / sizeof(fields[0])));
}

void
audit_note(struct http_request *req, const struct audit *event)
{
	audit_line(req, event);
	if (audit_row(req, event) != OK)
		log_warn("a security event is not in the audit log: %s",
		    db_fault(req->db)->message);
}
