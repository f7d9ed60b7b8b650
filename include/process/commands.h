/*
 * commands.h - the commands of the program.
 *
 * argv[0] is the command's own name.  Each returns the exit code: 0, 1 when it
 * failed (said on stderr), 2 when it was called wrongly.  Those that have a help
 * of their own print it for --help, and need no config for that.
 */
#ifndef PROCESS_COMMANDS_H
#define PROCESS_COMMANDS_H

#include "config/config.h"

int cmd_serve(const struct config *config, int argc, char **argv);
int cmd_migrate(const struct config *config, int argc, char **argv);
int cmd_check(const struct config *config, int argc, char **argv);
int cmd_user(const struct config *config, int argc, char **argv);
int cmd_key(const struct config *config, int argc, char **argv);
/* limit set|list */
int cmd_limit(const struct config *config, int argc, char **argv);
int cmd_prices(const struct config *config, int argc, char **argv);
/* spool status|verify|replay */
int cmd_spool(const struct config *config, int argc, char **argv);
int cmd_routes(const struct config *config, int argc, char **argv);
int cmd_settings(const struct config *config, int argc, char **argv);
int cmd_version(const struct config *config, int argc, char **argv);

/* The program run by a web server as a CGI program: answers one request. */
int cgi_main(char **envp);

#endif /* PROCESS_COMMANDS_H */
