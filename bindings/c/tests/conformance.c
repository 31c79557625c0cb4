/*
 * The conformance runner in C, on a library with the feature `testing`. `conformance FOLDER` lives through every scenario in
 * the folder and prints its name; `conformance GOLDEN_JSON STORE` makes the calls of golden.json on a copy of the golden store.
 * Differences go to stderr.
 */
#define _POSIX_C_SOURCE 200809L
#define TERTULIA_TESTING
#include "tertulia.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file's text, which must be freed. */
static char *text_of(const char *path) {
  static const size_t room = 1 << 20;
  char *text = (char *)malloc(room);
  FILE *file = fopen(path, "rb");
  if (text == NULL || file == NULL) {
    fprintf(stderr, "%s cannot be read\n", path);
    exit(2);
  }
  size_t count = fread(text, 1, room - 1, file);
  text[count] = 0;
  fclose(file);
  return text;
}

/* The host: its handles, and the result of its last call. */
typedef struct {
  tertulia_engine *engine;
  tertulia_session *session;
  tertulia_event *event;
  tertulia_data *answer;
  char audio[1 << 12];
} host;

/* Reads a turn's audio; its samples go to `host->audio` in JSON. */
static int32_t read_audio(host *host, const tertulia_testing_action *action) {
  tertulia_data *data = NULL;
  int32_t code = tertulia_engine_audio(host->engine, action->text, action->turn, action->more, &data, NULL);
  if (code != TERTULIA_OK) return code;
  size_t count = 0, at = 0, room = sizeof host->audio;
  unsigned rate = 0;
  const int16_t *samples = tertulia_data_i16(data, &count);
  if (sscanf(tertulia_data_json(data), "{\"rate\":%u", &rate) != 1) return TERTULIA_ERROR_INTERNAL;
  at += (size_t)snprintf(host->audio, room, "{\"rate\":%u,\"samples\":[", rate);
  for (size_t n = 0; n < count && at < room - 16; n++) {
    at += (size_t)snprintf(host->audio + at, room - at, n == 0 ? "%d" : ",%d", samples[n]);
  }
  snprintf(host->audio + at, room - at, "]}");
  return tertulia_data_free(data);
}

/* Works a job off that has one item. */
static int32_t item_of(tertulia_job *job, host *host) {
  int32_t code = tertulia_job_next(job, &host->answer, NULL);
  tertulia_job_free(job);
  return code;
}

/* Does what the run asks for; the code of the call. */
static int32_t act(host *host, const tertulia_testing_action *action) {
  tertulia_job *job = NULL;
  int32_t code;
  switch (action->kind) {
    case TERTULIA_TESTING_TAKE_ENGINE:
      tertulia_engine_free(host->engine);
      host->engine = action->engine;
      return TERTULIA_OK;
    case TERTULIA_TESTING_TAKE_SESSION:
      tertulia_session_free(host->session);
      return tertulia_engine_session(host->engine, action->text, &host->session, NULL);
    case TERTULIA_TESTING_APPLY:
      return tertulia_engine_apply(host->engine, action->text, &host->answer, NULL);
    case TERTULIA_TESTING_READ_EVENT:
      return tertulia_session_next_event(host->session, 0, &host->event, NULL);
    case TERTULIA_TESTING_PUSH_AUDIO:
      return tertulia_session_push_interleaved(host->session, action->samples, action->count, action->channels,
                                               action->rate, NULL);
    case TERTULIA_TESTING_PUSH_ENCODED:
      return tertulia_session_push_encoded(host->session, (const uint8_t *)action->text, action->count, NULL, NULL);
    case TERTULIA_TESTING_OPEN_ENGINE:
      return tertulia_engine_open(action->text, NULL, &host->engine, NULL);
    case TERTULIA_TESTING_READ_AUDIO:
      return read_audio(host, action);
    case TERTULIA_TESTING_EXPORT:
      code = tertulia_engine_export_session(host->engine, action->text, action->more, &job, NULL);
      return code == TERTULIA_OK ? item_of(job, host) : code;
    case TERTULIA_TESTING_IMPORT:
      code = tertulia_engine_import_session(host->engine, action->more, action->text, &job, NULL);
      return code == TERTULIA_OK ? item_of(job, host) : code;
    default:
      return TERTULIA_ERROR_UNSUPPORTED;
  }
}

/* The result of the last call in JSON; NULL for none. */
static const char *result_of(const host *host) {
  if (host->event != NULL) return tertulia_event_json(host->event);
  if (host->answer != NULL) return tertulia_data_json(host->answer);
  return host->audio[0] != 0 ? host->audio : NULL;
}

/* Lives through a run, which is freed; 1 where it came as it should. */
static int live(const char *name, tertulia_testing_run *run, tertulia_error *error) {
  static host host;
  memset(&host, 0, sizeof host);
  tertulia_testing_action action;
  int32_t code = tertulia_error_code(error), result = TERTULIA_OK;
  while (code == TERTULIA_OK) {
    code = tertulia_testing_next(run, result, result_of(&host), &action, &error);
    tertulia_event_free(host.event);
    tertulia_data_free(host.answer);
    host.event = NULL;
    host.answer = NULL;
    host.audio[0] = 0;
    if (code != TERTULIA_OK || action.kind == TERTULIA_TESTING_END) break;
    result = act(&host, &action);
  }
  const char *difference = code == TERTULIA_OK ? tertulia_testing_finish(run) : tertulia_error_detail(error);
  int passed = difference == NULL;
  if (!passed) fprintf(stderr, "%s\n%s\n", name, difference);
  tertulia_error_free(error);
  tertulia_session_free(host.session);
  tertulia_engine_free(host.engine);
  tertulia_testing_free(run);
  return passed;
}

/* Lives through every scenario in a folder; how many failed. */
static int live_all(const char *path, DIR *folder) {
  int failed = 0;
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    const char *end = strstr(entry->d_name, ".json");
    if (end == NULL) continue;
    char file[1024];
    snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
    char *scenario = text_of(file);
    tertulia_testing_run *run = NULL;
    tertulia_error *error = NULL;
    tertulia_testing_open(scenario, &run, &error);
    printf("%.*s\n", (int)(end - entry->d_name), entry->d_name);
    failed += !live(entry->d_name, run, error);
    free(scenario);
  }
  return failed;
}

int main(int argc, char **argv) {
  int failed = 0;
  DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
  if (folder != NULL) {
    failed = live_all(argv[1], folder);
    closedir(folder);
  } else if (argc == 3) {
    char *golden = text_of(argv[1]);
    tertulia_testing_run *run = NULL;
    tertulia_error *error = NULL;
    tertulia_testing_open_golden(golden, argv[2], &run, &error);
    failed = !live("the golden store", run, error);
    free(golden);
  } else {
    fprintf(stderr, "usage: conformance FOLDER | conformance GOLDEN_JSON STORE\n");
    return 2;
  }
  return failed != 0;
}
