/* A data race between the host and the library, for tsan.sh: samples are written while the library reads them. */
#include "common.h"

#include <pthread.h>

static int16_t samples[960];

static void *write_samples(void *unused) {
  int time;
  size_t at;
  for (time = 0; time < 1000; time++) {
    for (at = 0; at < 960; at++) samples[at] = (int16_t)time;
  }
  return unused;
}

int main(void) {
  tertulia_engine *engine = NULL;
  tertulia_session *session = NULL;
  pthread_t writer;
  char id[37];
  int time;
  OK(tertulia_engine_open(NO_MODELS, NULL, &engine, out));
  OK(create_session(engine, ",\"listening\":{\"mode\":\"push_to_talk\"}", id, &session, out));
  CHECK(pthread_create(&writer, NULL, write_samples, NULL) == 0);
  for (time = 0; time < 20; time++) OK(tertulia_session_push_audio_i16(session, samples, 960, 48000, out));
  pthread_join(writer, NULL);
  puts("no race was found");
  return 0;
}
