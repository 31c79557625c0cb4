package dev.tertulia.reactnative

import kotlin.test.fail

/** An engine on scripted backends, in C++ (engine.cpp). */
internal object TestEngine {
    init {
        System.load(System.getProperty("tertulia.jni"))
    }

    @JvmStatic external fun open(): Long

    @JvmStatic external fun start(engine: Long, options: String): String

    @JvmStatic external fun stop(engine: Long)

    @JvmStatic external fun hold(engine: Long, isHeld: Boolean)

    @JvmStatic external fun apply(engine: Long, fields: String): String

    @JvmStatic external fun next(engine: Long): String

    @JvmStatic external fun news(engine: Long): String

    @JvmStatic external fun close(engine: Long)
}

/** Waits until something is so. */
internal fun reached(what: () -> String, condition: () -> Boolean) {
    for (attempt in 1..1_000) {
        if (condition()) return
        Thread.sleep(10)
    }
    fail(what())
}
