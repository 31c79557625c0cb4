/*
 * twice LIBRARY COPY FOLDER: two copies of the library in one process, and the same file loaded twice. Both work side by side;
 * one does not open the store of the other; a handle of one is no crash in the other.
 */
#include "common.h"

#include <dlfcn.h>

/* The calls of one copy. */
typedef struct {
  void *library;
  uint32_t (*abi_version)(void);
  int32_t (*open)(const char *, const tertulia_backends *, tertulia_engine **, tertulia_error **);
  int32_t (*apply)(const tertulia_engine *, const char *, tertulia_data **, tertulia_error **);
  int32_t (*shut_down)(const tertulia_engine *, uint64_t, tertulia_data **, tertulia_error **);
  int32_t (*free)(tertulia_engine *);
  int32_t (*free_data)(tertulia_data *);
  const char *(*json)(const tertulia_data *);
} copy;

static void find(const copy *from, const char *name, void *function) {
  void *found = dlsym(from->library, name);
  CHECK(found != NULL);
  memcpy(function, &found, sizeof found);
}

static copy load(const char *path) {
  copy loaded;
  loaded.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (loaded.library == NULL) fprintf(stderr, "%s\n", dlerror());
  CHECK(loaded.library != NULL);
  find(&loaded, "tertulia_abi_version", &loaded.abi_version);
  find(&loaded, "tertulia_engine_open", &loaded.open);
  find(&loaded, "tertulia_engine_apply", &loaded.apply);
  find(&loaded, "tertulia_engine_shut_down", &loaded.shut_down);
  find(&loaded, "tertulia_engine_free", &loaded.free);
  find(&loaded, "tertulia_data_free", &loaded.free_data);
  find(&loaded, "tertulia_data_json", &loaded.json);
  CHECK(loaded.abi_version() == TERTULIA_ABI_VERSION);
  return loaded;
}

static int32_t create(const copy *in, tertulia_engine *engine) {
  return in->apply(engine, "{\"type\":\"create_session\",\"config\":{\"native\":\"en\",\"target\":\"es\"}}", NULL, NULL);
}

static void side_by_side(const copy *first, const copy *second, const char *folder) {
  char options[600];
  tertulia_engine *one = NULL, *other = NULL, *memory = NULL;
  tertulia_data *usage = NULL;
  sprintf(options, "{\"store\":{\"path\":\"%s/twice.redb\"},%s", folder, NO_MODELS + 1);
  CHECK(first->open(options, NULL, &one, NULL) == TERTULIA_OK && create(first, one) == TERTULIA_OK);
  CHECK(second->open(options, NULL, &other, NULL) == TERTULIA_ERROR_STORE_LOCKED && other == NULL);
  CHECK(second->open(NO_MODELS, NULL, &memory, NULL) == TERTULIA_OK && create(second, memory) == TERTULIA_OK);
  /* A handle of one copy is a number to the other: a live handle of its own by chance, or a code. */
  CHECK(second->apply(one, "{\"type\":\"store_usage\"}", NULL, NULL) >= TERTULIA_OK);
  CHECK(second->apply((const tertulia_engine *)folder, "{\"type\":\"store_usage\"}", NULL, NULL) == TERTULIA_ERROR_INVALID_ARGUMENT);
  CHECK(first->shut_down(one, 5000, NULL, NULL) == TERTULIA_OK && first->free(one) == TERTULIA_OK);
  /* The store is the other's now. */
  CHECK(second->open(options, NULL, &other, NULL) == TERTULIA_OK);
  CHECK(second->apply(other, "{\"type\":\"store_usage\"}", &usage, NULL) == TERTULIA_OK && second->json(usage) != NULL);
  CHECK(second->free_data(usage) == TERTULIA_OK);
  CHECK(second->free(other) == TERTULIA_OK && second->free(memory) == TERTULIA_OK);
}

int main(int count, char **arguments) {
  copy first, again, second;
  CHECK(count == 4);
  first = load(arguments[1]);
  again = load(arguments[1]);
  second = load(arguments[2]);
  CHECK(again.open == first.open && second.open != first.open);
  side_by_side(&first, &second, arguments[3]);
  side_by_side(&second, &first, arguments[3]);
  side_by_side(&first, &again, arguments[3]);
  CHECK(dlclose(again.library) == 0);
  side_by_side(&second, &first, arguments[3]);
  CHECK(dlclose(first.library) == 0 && dlclose(second.library) == 0);
  puts("two copies in one process: ok");
  return 0;
}
