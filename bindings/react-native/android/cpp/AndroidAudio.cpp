// The devices of Android, through the class NativeAudio in Kotlin. It is compiled into the app's own library, where the
// virtual machine finds the functions of NativeCalls.
#include <jni.h>

#include <stdexcept>
#include <vector>

#include "Audio.h"

namespace {

using namespace tertulia;

JavaVM* machine = nullptr;

/// The virtual machine's view of this thread, which is attached until it ends.
JNIEnv* environment() {
  struct Attached {
    bool isOurs = false;
    ~Attached() {
      if (isOurs) machine->DetachCurrentThread();
    }
  };
  static thread_local Attached attached;
  void* env = nullptr;
  if (machine->GetEnv(&env, JNI_VERSION_1_6) == JNI_OK) return static_cast<JNIEnv*>(env);
#ifdef __ANDROID__
  JNIEnv* made = nullptr;
  auto code = machine->AttachCurrentThreadAsDaemon(&made, nullptr);
  env = made;
#else
  auto code = machine->AttachCurrentThreadAsDaemon(&env, nullptr);
#endif
  if (code != JNI_OK) throw std::runtime_error("the thread cannot be attached to the virtual machine");
  attached.isOurs = true;
  return static_cast<JNIEnv*>(env);
}

/// A text of Java's for logs. Its UTF-8 is not everyone's beyond ASCII.
std::string plain(JNIEnv* env, jstring text) {
  const char* chars = env->GetStringUTFChars(text, nullptr);
  std::string copy = chars == nullptr ? "" : chars;
  if (chars != nullptr) env->ReleaseStringUTFChars(text, chars);
  for (auto& letter : copy) {
    if (static_cast<unsigned char>(letter) >= 0x80) letter = '?';
  }
  return copy;
}

/// Clears an exception of Java's, and gives its text; empty without one.
std::string failure(JNIEnv* env) {
  auto* thrown = env->ExceptionOccurred();
  if (thrown == nullptr) return {};
  env->ExceptionClear();
  auto* type = env->FindClass("java/lang/Object");
  auto* text = static_cast<jstring>(env->CallObjectMethod(thrown, env->GetMethodID(type, "toString", "()Ljava/lang/String;")));
  std::string why = "an exception";
  if (env->ExceptionCheck()) {
    env->ExceptionClear();
  } else if (text != nullptr) {
    why = plain(env, text);
    env->DeleteLocalRef(text);
  }
  env->DeleteLocalRef(type);
  env->DeleteLocalRef(thrown);
  return why;
}

/// The class NativeAudio and its methods.
struct Methods {
  jclass type;
  jmethodID open, play, pause, resume, flush, hold, close;
};

class Devices : public AudioDevices {
 public:
  Devices(const Methods& methods, uint64_t id, const std::string& options) : methods_(methods) {
    auto* env = environment();
    auto* text = env->NewStringUTF(options.c_str());
    auto* local = env->CallStaticObjectMethod(methods.type, methods.open, static_cast<jlong>(id), text);
    auto why = failure(env);
    env->DeleteLocalRef(text);
    if (!why.empty()) throw std::runtime_error(why);
    audio_ = env->NewGlobalRef(local);
    env->DeleteLocalRef(local);
  }
  ~Devices() override {
    call(methods_.close);
    environment()->DeleteGlobalRef(audio_);
  }
  void play(uint64_t turn, const float* samples, size_t count, uint32_t rate) override {
    auto* env = environment();
    auto* array = env->NewFloatArray(static_cast<jsize>(count));
    if (array == nullptr) return static_cast<void>(failure(env));
    env->SetFloatArrayRegion(array, 0, static_cast<jsize>(count), samples);
    call(methods_.play, static_cast<jlong>(turn), static_cast<jint>(rate), array);
    env->DeleteLocalRef(array);
  }
  void pause() override { call(methods_.pause); }
  void resume() override { call(methods_.resume); }
  void flush(uint64_t turn) override { call(methods_.flush, static_cast<jlong>(turn)); }
  void hold(bool isHeld) override { call(methods_.hold, static_cast<jboolean>(isHeld)); }

 private:
  template <typename... Arguments>
  void call(jmethodID method, Arguments... arguments) {
    auto* env = environment();
    env->CallVoidMethod(audio_, method, arguments...);
    failure(env);
  }

  const Methods& methods_;
  jobject audio_ = nullptr;
};

class Android : public AudioPlatform {
 public:
  explicit Android(const Methods& methods) : methods_(methods) {}
  std::unique_ptr<AudioDevices> open(uint64_t id, const std::string& options) override {
    return std::make_unique<Devices>(methods_, id, options);
  }

 private:
  const Methods methods_;
};

}  // namespace

extern "C" {

JNIEXPORT void JNICALL Java_dev_tertulia_reactnative_NativeCalls_install(JNIEnv* env, jclass, jclass type) {
  // The app reloads, and the platform is the same.
  if (machine != nullptr || env->GetJavaVM(&machine) != JNI_OK) return;
  auto method = [&](const char* name, const char* signature) { return env->GetMethodID(type, name, signature); };
  auto open = env->GetStaticMethodID(type, "open", "(JLjava/lang/String;)Ldev/tertulia/reactnative/NativeAudio;");
  Methods methods{static_cast<jclass>(env->NewGlobalRef(type)), open, method("play", "(JI[F)V"), method("pause", "()V"),
                  method("resume", "()V"), method("flush", "(J)V"), method("hold", "(Z)V"), method("close", "()V")};
  // One that is missing is an exception in Kotlin.
  if (env->ExceptionCheck()) return static_cast<void>(machine = nullptr);
  AudioPlatform::set(std::make_shared<Android>(methods));
}

JNIEXPORT void JNICALL Java_dev_tertulia_reactnative_NativeCalls_push(JNIEnv* env, jclass, jlong id, jshortArray samples,
                                                                      jint count, jint channels, jint rate) {
  std::vector<int16_t> block(static_cast<size_t>(count));
  env->GetShortArrayRegion(samples, 0, count, block.data());
  if (env->ExceptionCheck()) return;
  AudioCalls::push(static_cast<uint64_t>(id), block.data(), block.size(), static_cast<uint32_t>(channels),
                   static_cast<uint32_t>(rate));
}

JNIEXPORT void JNICALL Java_dev_tertulia_reactnative_NativeCalls_interrupted(JNIEnv*, jclass, jlong id) {
  AudioCalls::interrupted(static_cast<uint64_t>(id));
}

JNIEXPORT void JNICALL Java_dev_tertulia_reactnative_NativeCalls_resumed(JNIEnv*, jclass, jlong id) {
  AudioCalls::resumed(static_cast<uint64_t>(id));
}

JNIEXPORT void JNICALL Java_dev_tertulia_reactnative_NativeCalls_played(JNIEnv*, jclass, jlong id, jlong turn, jlong samples) {
  AudioCalls::played(static_cast<uint64_t>(id), static_cast<uint64_t>(turn), static_cast<uint64_t>(samples));
}

JNIEXPORT void JNICALL Java_dev_tertulia_reactnative_NativeCalls_news(JNIEnv* env, jclass, jlong id, jstring news, jstring detail) {
  AudioCalls::news(static_cast<uint64_t>(id), plain(env, news).c_str(), plain(env, detail).c_str());
}

}  // extern "C"
