/*
 * What the tests share: checks of conditions and calls, tables of backends, engines without models, sessions.
 */
#ifndef TERTULIA_TESTS_COMMON_H
#define TERTULIA_TESTS_COMMON_H

#include "tertulia.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                    \
  do {                                                                                      \
    if (!(condition)) {                                                                     \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);               \
      exit(1);                                                                              \
    }                                                                                       \
  } while (0)

/* The call succeeds; else its error is printed. */
#define OK(call)                                                                            \
  do {                                                                                      \
    tertulia_error *error = NULL;                                                           \
    tertulia_error **out = &error;                                                          \
    int32_t code = (call);                                                                  \
    if (code != TERTULIA_OK) {                                                              \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, tertulia_error_detail(error)); \
      exit(1);                                                                              \
    }                                                                                       \
  } while (0)

static const char NO_MODELS[] =
    "{\"models\":{\"vad\":\"none\",\"turn_detector\":\"none\",\"recognizer\":\"none\",\"chat\":\"none\",\"synthesizer\":\"none\"}}";

/* A backend in English and Spanish, without its function. */
static inline tertulia_backend backend_named(const char *name, void *user_data, tertulia_release_fn release) {
  tertulia_backend table;
  memset(&table, 0, sizeof table);
  table.struct_size = sizeof table;
  table.user_data = user_data;
  table.name = name;
  table.languages = "en, es";
  table.release = release;
  return table;
}

/* Opens an engine on these backends, NULL for none; its code. */
static inline int32_t open_on(const char *options, const tertulia_backend *recognizer, const tertulia_backend *chat,
                              const tertulia_backend *voice, tertulia_engine **engine, tertulia_error **error) {
  tertulia_backends table;
  memset(&table, 0, sizeof table);
  table.struct_size = sizeof table;
  table.recognizer = recognizer;
  table.chat = chat;
  table.synthesizer = voice;
  return tertulia_engine_open(options, &table, engine, error);
}

/* Creates a session from English to Spanish with `more` settings (",…"), and copies its id; its code. */
static inline int32_t create_session(tertulia_engine *engine, const char *more, char id[37], tertulia_session **session,
                                     tertulia_error **error) {
  char command[300];
  tertulia_data *answer = NULL;
  int32_t code;
  sprintf(command, "{\"type\":\"create_session\",\"config\":{\"native\":\"en\",\"target\":\"es\"%s}}", more);
  code = tertulia_engine_apply(engine, command, &answer, error);
  if (code != TERTULIA_OK) return code;
  memcpy(id, strstr(tertulia_data_json(answer), "\"session\":\"") + 11, 36);
  id[36] = 0;
  CHECK(tertulia_data_free(answer) == TERTULIA_OK);
  return tertulia_engine_session(engine, id, session, error);
}

#endif
