/*
 * exit FOLDER SCENE shut|exit: the end of a process in the middle of something, with the engine shut down before, or not.
 * The exit code is 0 within seconds; the program beside it, test.sh, holds the time.
 */
#define _POSIX_C_SOURCE 200809L
#include "common.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

static volatile int begun;

static void until_begun(void) {
  struct timespec pause = {0, 10000000};
  while (!begun) nanosleep(&pause, NULL);
  nanosleep(&pause, NULL);
}

static int32_t never_answered(void *user_data, const char *request, const float *samples, size_t count, tertulia_sink *sink) {
  (void)user_data, (void)request, (void)samples, (void)count, (void)sink;
  begun = 1;
  return TERTULIA_OK;
}

/* A callback that does not come back. */
static int32_t hung(void *user_data, const char *request, tertulia_sink *sink) {
  (void)user_data, (void)request, (void)sink;
  begun = 1;
  for (;;) pause();
  return TERTULIA_OK;
}

static void *run_job(void *job) {
  tertulia_data *item = NULL;
  tertulia_job_next((const tertulia_job *)job, &item, NULL);
  return NULL;
}

static void *read_events(void *session) {
  tertulia_event *event = NULL;
  begun = 1;
  while (tertulia_session_next_event((const tertulia_session *)session, 600000, &event, NULL) == TERTULIA_OK) {
    tertulia_event_free(event);
  }
  return NULL;
}

static void start(void *(*work)(void *), void *handle) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, work, handle) == 0 && pthread_detach(thread) == 0);
}

/* An engine with the library's recogniser and its voice activity detection, both loaded; NULL where it has none. */
static tertulia_engine *with_models(void) {
  tertulia_engine *engine = NULL;
  tertulia_job *job = NULL;
  tertulia_data *item = NULL;
  tertulia_error *error = NULL;
  int32_t code = tertulia_models_list(NULL, &item, NULL);
  if (code != TERTULIA_OK) {
    puts("skipped: the library has no models");
    return NULL;
  }
  tertulia_data_free(item);
  OK(tertulia_engine_open("{\"models\":{\"turn_detector\":\"none\",\"chat\":\"none\",\"synthesizer\":\"none\"}}", NULL, &engine, out));
  OK(tertulia_engine_preload(engine, &job, out));
  code = tertulia_job_next(job, &item, &error);
  if (code == TERTULIA_ERROR_MODEL_MISSING) {
    puts("skipped: the files of the models are not there");
    tertulia_error_free(error);
    return NULL;
  }
  CHECK(code == TERTULIA_OK);
  tertulia_data_free(item);
  OK(tertulia_job_next(job, &item, out));
  CHECK(item == NULL && tertulia_job_free(job) == TERTULIA_OK);
  return engine;
}

int main(int count, char **arguments) {
  static float samples[16000];
  tertulia_backend recognizer = backend_named("c", NULL, NULL), chat = recognizer;
  tertulia_engine *engine = NULL;
  tertulia_session *session = NULL;
  tertulia_job *job = NULL;
  const char *scene = count == 4 ? arguments[2] : "";
  char options[600], command[200], id[37];
  recognizer.recognize = never_answered;
  chat.request = hung;
  if (strcmp(scene, "model") == 0) {
    engine = with_models();
    if (engine == NULL) return 0;
  } else {
    sprintf(options, "{\"store\":{\"path\":\"%s/exit.redb\"},\"models\":{\"vad\":\"none\",\"turn_detector\":\"none\",\"synthesizer\":\"none\"}}",
            arguments[1]);
    OK(open_on(options, &recognizer, &chat, NULL, &engine, out));
  }
  OK(create_session(engine, "", id, &session, out));
  if (strcmp(scene, "job") == 0) {
    OK(tertulia_engine_transcribe(engine, samples, 16000, 16000, "es", &job, out));
    start(run_job, job);
    until_begun();
  } else if (strcmp(scene, "callback") == 0) {
    sprintf(command, "{\"type\":\"send_text\",\"session\":\"%s\",\"text\":\"Hola\"}", id);
    OK(tertulia_engine_apply(engine, command, NULL, out));
    until_begun();
  } else if (strcmp(scene, "reader") == 0) {
    start(read_events, session);
    until_begun();
  } else {
    CHECK(strcmp(scene, "open") == 0 || strcmp(scene, "model") == 0);
  }
  if (strcmp(arguments[3], "shut") == 0) {
    tertulia_data *running = NULL;
    OK(tertulia_engine_shut_down(engine, strcmp(scene, "callback") == 0 ? 500 : 20000, &running, out));
    /* Nothing runs any more but the callback that does not come back. */
    CHECK((strcmp(tertulia_data_json(running), "{\"workers\":[]}") == 0) == (strcmp(scene, "callback") != 0));
    CHECK(tertulia_data_free(running) == TERTULIA_OK);
  }
  printf("%s, %s: ok\n", scene, arguments[3]);
  return 0;
}
