/** The declarations of React Native that the package uses, without anything behind them: its archive for Android is not to be had. */
@file:Suppress("PackageDirectoryMismatch", "UNUSED_PARAMETER")

package com.facebook.react.bridge

import android.content.Context
import android.content.ContextWrapper

interface NativeModule {
    fun getName(): String
}

open class ReactContext(base: Context) : ContextWrapper(base)

class ReactApplicationContext(base: Context) : ReactContext(base)

abstract class ReactContextBaseJavaModule(context: ReactApplicationContext) : NativeModule

@Target(AnnotationTarget.FUNCTION)
annotation class ReactMethod(val isBlockingSynchronousMethod: Boolean = false)
