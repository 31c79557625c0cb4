// The class TestEngine in Kotlin.
#include <jni.h>

#include "engine.h"

namespace {

using namespace testing;

Test& of(jlong handle) { return **reinterpret_cast<Handle*>(handle); }

std::string text(JNIEnv* env, jstring value) {
  const char* chars = env->GetStringUTFChars(value, nullptr);
  std::string copy = chars;
  env->ReleaseStringUTFChars(value, chars);
  return copy;
}

template <typename Body>
jstring answer(JNIEnv* env, Body body) {
  try {
    return env->NewStringUTF(body().c_str());
  } catch (const std::exception& error) {
    env->ThrowNew(env->FindClass("java/lang/IllegalStateException"), error.what());
    return nullptr;
  }
}

}  // namespace

extern "C" {

JNIEXPORT jlong JNICALL Java_dev_tertulia_reactnative_TestEngine_open(JNIEnv*, jclass) {
  return reinterpret_cast<jlong>(new Handle(std::make_shared<Test>()));
}

JNIEXPORT jstring JNICALL Java_dev_tertulia_reactnative_TestEngine_start(JNIEnv* env, jclass, jlong handle, jstring options) {
  return answer(env, [&] { return of(handle).start(text(env, options)); });
}

JNIEXPORT void JNICALL Java_dev_tertulia_reactnative_TestEngine_stop(JNIEnv*, jclass, jlong handle) { of(handle).stop(); }

JNIEXPORT void JNICALL Java_dev_tertulia_reactnative_TestEngine_hold(JNIEnv*, jclass, jlong handle, jboolean isHeld) {
  of(handle).run->hold(isHeld);
}

JNIEXPORT jstring JNICALL Java_dev_tertulia_reactnative_TestEngine_apply(JNIEnv* env, jclass, jlong handle, jstring fields) {
  return answer(env, [&] { return of(handle).call(text(env, fields)); });
}

JNIEXPORT jstring JNICALL Java_dev_tertulia_reactnative_TestEngine_next(JNIEnv* env, jclass, jlong handle) {
  return answer(env, [&] { return of(handle).next(); });
}

JNIEXPORT jstring JNICALL Java_dev_tertulia_reactnative_TestEngine_news(JNIEnv* env, jclass, jlong handle) {
  return answer(env, [&] { return of(handle).told(); });
}

JNIEXPORT void JNICALL Java_dev_tertulia_reactnative_TestEngine_close(JNIEnv*, jclass, jlong handle) {
  close(reinterpret_cast<Handle*>(handle));
}

}  // extern "C"
