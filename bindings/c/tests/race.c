/* A data race between the host and the library, for tsan.sh: samples are written while the library reads them. */
#include "tertulia.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

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
  tertulia_data *answer = NULL;
  pthread_t writer;
  char id[37];
  int time;
  if (tertulia_engine_open("{\"models\":{\"vad\":\"none\",\"turn_detector\":\"none\",\"recognizer\":\"none\","
                           "\"chat\":\"none\",\"synthesizer\":\"none\"}}",
                           NULL, &engine, NULL) != TERTULIA_OK ||
      tertulia_engine_apply(engine, "{\"type\":\"create_session\",\"config\":{\"native\":\"en\",\"target\":\"es\","
                                    "\"listening\":{\"mode\":\"push_to_talk\"}}}",
                            &answer, NULL) != TERTULIA_OK) {
    return 1;
  }
  memcpy(id, strstr(tertulia_data_json(answer), "\"session\":\"") + 11, 36);
  id[36] = 0;
  if (tertulia_engine_session(engine, id, &session, NULL) != TERTULIA_OK) return 1;
  if (pthread_create(&writer, NULL, write_samples, NULL) != 0) return 1;
  for (time = 0; time < 20; time++) {
    if (tertulia_session_push_audio_i16(session, samples, 960, 48000, NULL) != TERTULIA_OK) return 1;
  }
  pthread_join(writer, NULL);
  puts("no race was found");
  return 0;
}
