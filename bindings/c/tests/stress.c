/*
 * Threads against each other: the end of a session, or of its engine, in the middle of every stage of a turn; then several
 * threads that use a few sessions at random, and an engine that is shut down beneath them. Every call must give a code that
 * it may give, every session its last event, every backend its release, and nothing may hang.
 *
 * stress ENDS ROUNDS [SEED]: how often a turn is ended, and how many calls each thread makes on average.
 */
#define _POSIX_C_SOURCE 200809L
#include "common.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define THREADS 6
#define SLOTS 3
#ifdef __SANITIZE_THREAD__
#define END_MS 60000 /* a thousand sessions are closed, 20 times slower */
#else
#define END_MS 10000
#endif

enum stage { IDLE, SPEECH, RECOGNIZING, REPLYING, SPEAKING, FINISHED, STAGES };
static const char *const STAGE_NAMES[] = {"idle", "speech", "recognition", "reply", "speech synthesis", "finished"};

/* Shared by the threads of this program. */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  enum stage reached; /* of the turn under way */
  enum stage held;    /* the backends stop here until it is another */
  int working;        /* threads that push results */
  long released;
} shared = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, IDLE, IDLE, 0, 0};

static void nap(long us) {
  struct timespec time = {us / 1000000, us % 1000000 * 1000};
  nanosleep(&time, NULL);
}

/* The next number at random (SplitMix64). */
static uint64_t next(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* A code that a call may give while others end sessions and the engine; the error is freed. */
static int32_t fair(const char *call, int32_t code, tertulia_error *error) {
  static const int32_t FAIR[] = {TERTULIA_OK,
                                 TERTULIA_ERROR_INVALID_ARGUMENT,
                                 TERTULIA_ERROR_EVENTS_TAKEN,
                                 TERTULIA_ERROR_SESSION_BUSY,
                                 TERTULIA_ERROR_SESSION_NOT_FOUND,
                                 TERTULIA_ERROR_TURN_NOT_FOUND,
                                 TERTULIA_ERROR_AUDIO_EMPTY,
                                 TERTULIA_ERROR_AUDIO_OVERRUN,
                                 TERTULIA_ERROR_AUDIO_GONE,
                                 TERTULIA_ERROR_CANCELLED,
                                 TERTULIA_ERROR_SESSION_CLOSED,
                                 TERTULIA_ERROR_ENGINE_CLOSED,
                                 TERTULIA_ERROR_QUEUE_FULL,
                                 TERTULIA_ERROR_SUSPENDED};
  size_t at;
  CHECK(tertulia_error_code(error) == code);
  for (at = 0; at < sizeof FAIR / sizeof *FAIR; at++) {
    if (code == FAIR[at]) {
      CHECK(tertulia_error_free(error) == TERTULIA_OK);
      return code;
    }
  }
  fprintf(stderr, "%s gave %d: %s\n", call, (int)code, tertulia_error_detail(error));
  exit(1);
}

#define DO(code, call)                    \
  do {                                    \
    tertulia_error *error = NULL;         \
    tertulia_error **out = &error;        \
    int32_t result = (call);              \
    code = fair(#call, result, error);    \
  } while (0)

/* The turn has reached a stage; waits there while it is held. */
static void reach(enum stage stage) {
  pthread_mutex_lock(&shared.lock);
  if (shared.reached < stage) shared.reached = stage;
  pthread_cond_broadcast(&shared.changed);
  while (shared.held == stage) pthread_cond_wait(&shared.changed, &shared.lock);
  pthread_mutex_unlock(&shared.lock);
}

static void wait_for(enum stage stage) {
  pthread_mutex_lock(&shared.lock);
  while (shared.reached < stage) pthread_cond_wait(&shared.changed, &shared.lock);
  pthread_mutex_unlock(&shared.lock);
}

static void set(enum stage held, enum stage reached) {
  pthread_mutex_lock(&shared.lock);
  shared.held = held;
  shared.reached = reached;
  pthread_cond_broadcast(&shared.changed);
  pthread_mutex_unlock(&shared.lock);
}

/* Some of the backends' results are failures. */
static atomic_int failing;

/* Backends: each request's results come from a thread of its own. */
typedef struct {
  tertulia_sink *sink;
  enum stage stage;
  size_t length; /* of the text to speak */
} work;

static void *results(void *argument) {
  static const float samples[2400];
  work job = *(work *)argument;
  int32_t code = TERTULIA_OK;
  size_t part;
  free(argument);
  for (part = 1; part <= 4 && code == TERTULIA_OK; part++) {
    if (job.stage == RECOGNIZING) DO(code, tertulia_sink_partial(job.sink, "Hola", out));
    if (job.stage == REPLYING) DO(code, tertulia_sink_text(job.sink, "Encantado. ", out));
    if (job.stage == SPEAKING) {
      DO(code, tertulia_sink_audio(job.sink, samples, 2400, 24000, job.length * (part - 1) / 4, job.length * part / 4, out));
    }
    if (part == 2) reach(job.stage);
  }
  if (job.stage == RECOGNIZING && code == TERTULIA_OK) DO(code, tertulia_sink_transcript(job.sink, "Hola.", out));
  if (failing && tertulia_sink_is_cancelled(job.sink) == 0 && job.stage == REPLYING && job.length % 8 == 7) {
    DO(code, tertulia_sink_fail(job.sink, TERTULIA_ERROR_CHAT_FAILED, "at random", out));
  } else {
    DO(code, tertulia_sink_done(job.sink, out));
  }
  CHECK(tertulia_sink_free(job.sink) == TERTULIA_OK);
  pthread_mutex_lock(&shared.lock);
  shared.working--;
  pthread_cond_broadcast(&shared.changed);
  pthread_mutex_unlock(&shared.lock);
  return NULL;
}

static int32_t begin(tertulia_sink *sink, enum stage stage, size_t length) {
  work *job = (work *)malloc(sizeof *job);
  pthread_t thread;
  CHECK(job != NULL);
  job->sink = sink;
  job->stage = stage;
  job->length = length;
  pthread_mutex_lock(&shared.lock);
  shared.working++;
  pthread_mutex_unlock(&shared.lock);
  CHECK(pthread_create(&thread, NULL, results, job) == 0 && pthread_detach(thread) == 0);
  return TERTULIA_OK;
}

static int32_t recognize(void *data, const char *request, const float *samples, size_t count, tertulia_sink *sink) {
  (void)data, (void)request;
  CHECK(count > 0 && samples[count - 1] == samples[count - 1]);
  return begin(sink, RECOGNIZING, 0);
}

static int32_t reply(void *data, const char *request, tertulia_sink *sink) {
  (void)data;
  return begin(sink, REPLYING, strlen(request));
}

static int32_t speak(void *data, const char *request, tertulia_sink *sink) {
  const char *text = strstr(request, "\"text\":\"") + 8;
  (void)data;
  return begin(sink, SPEAKING, (size_t)(strchr(text, '"') - text));
}

static void release(void *data) {
  (void)data;
  pthread_mutex_lock(&shared.lock);
  shared.released++;
  pthread_cond_broadcast(&shared.changed);
  pthread_mutex_unlock(&shared.lock);
}

static tertulia_engine *open_engine(void) {
  tertulia_backend recognizer = backend_named("c", NULL, release), chat = recognizer, voice = recognizer;
  tertulia_engine *opened = NULL;
  recognizer.recognize = recognize;
  chat.request = reply;
  voice.request = speak;
  OK(open_on("{\"models\":{\"vad\":\"none\",\"turn_detector\":\"none\"}}", &recognizer, &chat, &voice, &opened, out));
  return opened;
}

/* Makes a call in JSON on a session; its code. */
static int32_t command(tertulia_engine *engine, const char *type, const char *id, const char *rest) {
  char json[200];
  int32_t code;
  sprintf(json, "{\"type\":\"%s\",\"session\":\"%s\"%s}", type, id, rest);
  DO(code, tertulia_engine_apply(engine, json, NULL, out));
  return code;
}

/* Opens a session; NULL where that is refused. */
static tertulia_session *new_session(tertulia_engine *host, char id[37]) {
  tertulia_session *session = NULL;
  int32_t code;
  DO(code, create_session(host, ",\"playback\":\"assumed\",\"listening\":{\"mode\":\"push_to_talk\"}", id, &session, out));
  (void)code;
  return session;
}

static int32_t push(tertulia_session *session) {
  static const float samples[960];
  int32_t code;
  DO(code, tertulia_session_push_audio(session, samples, 960, 48000, out));
  return code;
}

/* The sessions that threads share. A handle may be freed, and its session closed, by any of them at any time. */
static struct {
  tertulia_session *session;
  char id[37];
} slots[SLOTS];
static tertulia_engine *engine;
static atomic_long opened, freed, calls;
static atomic_int over;

/* Reads up to the last event; 1 where it was `session_closed`. */
static int read_all(tertulia_session *session) {
  int closed = 0;
  for (;;) {
    tertulia_event *event = NULL;
    int32_t code;
    DO(code, tertulia_session_next_event(session, 10000, &event, out));
    if (code != TERTULIA_OK) return closed;
    CHECK(event != NULL && !closed);
    closed = strstr(tertulia_event_json(event), "\"type\":\"session_closed\"") != NULL;
    CHECK(tertulia_event_free(event) == TERTULIA_OK);
  }
}

static void *speak_on(void *session) {
  int block;
  for (block = 0; block < 50 && push((tertulia_session *)session) == TERTULIA_OK; block++) nap(20);
  return NULL;
}

/* Ends a turn in the middle of a stage, in one of several ways. */
static void end_at(enum stage stage, uint64_t way) {
  char id[37];
  int block, fresh = way % 4 == 3;
  pthread_t speaker;
  tertulia_engine *host = fresh ? open_engine() : engine;
  tertulia_session *session = new_session(host, id);
  CHECK(session != NULL);
  set(stage, IDLE);
  for (block = 0; block < 10; block++) CHECK(push(session) == TERTULIA_OK);
  if (stage == SPEECH) {
    CHECK(pthread_create(&speaker, NULL, speak_on, session) == 0);
    nap((long)(way % 200));
  } else if (stage > SPEECH) {
    OK(tertulia_session_end_utterance(session, NULL, out));
  }
  if (stage == FINISHED) {
    wait_for(SPEAKING);
    nap((long)(way % 300)); /* about when the turn is committed */
  } else if (stage > SPEECH) {
    wait_for(stage);
  }
  if (way % 2 == 0) OK(tertulia_session_interrupt(session, out));
  if (fresh) {
    CHECK(way % 8 == 3 || command(host, "close_session", id, "") == TERTULIA_OK);
    set(IDLE, IDLE);
    CHECK(tertulia_engine_free(host) == TERTULIA_OK);
    read_all(session);
  } else {
    CHECK(command(host, "close_session", id, "") == TERTULIA_OK);
    if (way % 3 == 0) set(IDLE, IDLE);
    CHECK(read_all(session) == 1);
    set(IDLE, IDLE);
  }
  if (stage == SPEECH) CHECK(pthread_join(speaker, NULL) == 0);
  pthread_mutex_lock(&shared.lock);
  while (shared.working > 0) pthread_cond_wait(&shared.changed, &shared.lock);
  pthread_mutex_unlock(&shared.lock);
  CHECK(tertulia_session_free(session) == TERTULIA_OK);
}

/* Puts another session in a place; the old one may be in use. */
static void replace(size_t at) {
  char id[37];
  tertulia_session *old, *session = new_session(engine, id);
  if (session == NULL) return;
  opened++;
  pthread_mutex_lock(&shared.lock);
  old = slots[at].session;
  slots[at].session = session;
  memcpy(slots[at].id, id, sizeof id);
  pthread_mutex_unlock(&shared.lock);
  freed += old != NULL && tertulia_session_free(old) == TERTULIA_OK;
}

/* One call at random on a session at random. */
static void act(uint64_t *state) {
  uint64_t choice = next(state);
  size_t at = (size_t)(choice >> 32) % SLOTS;
  tertulia_session *session;
  tertulia_event *event = NULL;
  tertulia_data *data = NULL;
  tertulia_job *job = NULL;
  char id[37];
  int32_t code;
  pthread_mutex_lock(&shared.lock);
  session = slots[at].session;
  memcpy(id, slots[at].id, sizeof id);
  pthread_mutex_unlock(&shared.lock);
  switch (choice % 16) {
    case 0: replace(at); break;
    case 1: command(engine, "send_text", id, ",\"text\":\"Hola.\""); break;
    case 2: DO(code, tertulia_session_end_utterance(session, NULL, out)); break;
    case 3: DO(code, tertulia_session_interrupt(session, out)); break;
    case 4: DO(code, tertulia_session_played(session, 1 + choice / 16 % 3, choice / 64 % 9600, out)); break;
    case 5: DO(code, tertulia_session_push_encoded(session, (const uint8_t *)id, sizeof id, NULL, out)); break;
    case 6: command(engine, choice & 48 ? "interrupt_all" : "close_session", id, ""); break;
    case 7: DO(code, tertulia_engine_export_session(engine, id, "/dev/null", &job, out)); break;
    case 8: DO(code, tertulia_engine_synthesize(engine, "{\"text\":\"Hola, Ana\",\"languages\":[\"es\"]}", &job, out)); break;
    case 9:
      command(engine, choice & 16 ? "turns" : "config", id, choice & 16 ? ",\"limit\":10" : "");
      if (choice % 1600 == 9) DO(code, tertulia_engine_suspend(engine, 1000, &data, out));
      if (choice % 1600 == 9) DO(code, tertulia_engine_resume(engine, out));
      break;
    case 10: DO(code, tertulia_engine_audio(engine, id, 1, "user", &data, out)); break;
    case 11:
    case 12: push(session); break;
    default:
      DO(code, tertulia_session_next_event(session, choice / 16 % 3, &event, out));
      if (event != NULL) CHECK(tertulia_event_json(event) != NULL);
  }
  if (job != NULL) {
    tertulia_data *item = NULL;
    if (choice & 16) CHECK(tertulia_job_cancel(job) == TERTULIA_OK);
    DO(code, tertulia_job_next(job, &item, out));
    CHECK(tertulia_data_free(item) == TERTULIA_OK);
  }
  (void)code;
  CHECK(tertulia_job_free(job) == TERTULIA_OK && tertulia_event_free(event) == TERTULIA_OK);
  CHECK(tertulia_data_free(data) == TERTULIA_OK);
}

static void *at_random(void *seed) {
  uint64_t state = *(uint64_t *)seed;
  for (; !over; calls++) act(&state);
  return NULL;
}

int main(int count, char **arguments) {
  uint64_t seed = count > 3 ? strtoull(arguments[3], NULL, 10) : (uint64_t)time(NULL), state = seed, seeds[THREADS];
  long ends = count > 2 ? atol(arguments[1]) : 1000, rounds, end, engines = 1;
  pthread_t threads[THREADS];
  size_t at;
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(1200); /* longer is a hang */
  rounds = count > 2 ? atol(arguments[2]) : 10000;
  printf("seed %llu\n", (unsigned long long)seed);
  engine = open_engine();
  for (at = IDLE; at < STAGES; at++) {
    for (end = 0; end < ends; end++) {
      uint64_t way = next(&state);
      end_at((enum stage)at, way);
      engines += way % 4 == 3;
    }
    printf("%ld ends in the stage \"%s\"\n", ends, STAGE_NAMES[at]);
  }
  failing = 1;
  for (at = 0; at < SLOTS; at++) replace(at);
  for (at = 0; at < THREADS; at++) {
    seeds[at] = next(&state);
    CHECK(pthread_create(&threads[at], NULL, at_random, &seeds[at]) == 0);
  }
  while (calls < THREADS * rounds) nap(1000); /* and they go on while the engine is shut down */
  {
    tertulia_data *running = NULL;
    OK(tertulia_engine_shut_down(engine, END_MS, &running, out));
    CHECK(strcmp(tertulia_data_json(running), "{\"workers\":[]}") == 0);
    CHECK(tertulia_data_free(running) == TERTULIA_OK);
  }
  nap(20000);
  over = 1;
  for (at = 0; at < THREADS; at++) CHECK(pthread_join(threads[at], NULL) == 0);
  for (at = 0; at < SLOTS; at++) freed += tertulia_session_free(slots[at].session) == TERTULIA_OK;
  CHECK(opened == freed && tertulia_engine_free(engine) == TERTULIA_OK);
  pthread_mutex_lock(&shared.lock);
  while (shared.working > 0 || shared.released < 3 * engines) pthread_cond_wait(&shared.changed, &shared.lock);
  CHECK(shared.released == 3 * engines);
  pthread_mutex_unlock(&shared.lock);
  printf("%d threads, %ld sessions, %ld engines: ok\n", THREADS, (long)opened, engines);
  return 0;
}
