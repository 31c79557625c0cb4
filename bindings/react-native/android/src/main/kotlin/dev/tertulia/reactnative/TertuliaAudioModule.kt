package dev.tertulia.reactnative

import com.facebook.react.BaseReactPackage
import com.facebook.react.bridge.NativeModule
import com.facebook.react.bridge.ReactApplicationContext
import com.facebook.react.bridge.ReactContextBaseJavaModule
import com.facebook.react.bridge.ReactMethod
import com.facebook.react.module.model.ReactModuleInfo
import com.facebook.react.module.model.ReactModuleInfoProvider

/** Makes Android's devices known to the module in C++. */
class TertuliaAudioModule(private val context: ReactApplicationContext) : ReactContextBaseJavaModule(context) {
    override fun getName() = NAME

    @ReactMethod(isBlockingSynchronousMethod = true)
    fun install(): Boolean {
        NativeAudio.install(context.applicationContext)
        return true
    }

    internal companion object {
        const val NAME = "TertuliaAudio"
    }
}

/** The package as autolinking finds it. */
class TertuliaPackage : BaseReactPackage() {
    override fun getModule(name: String, reactContext: ReactApplicationContext): NativeModule? =
        if (name == TertuliaAudioModule.NAME) TertuliaAudioModule(reactContext) else null

    override fun getReactModuleInfoProvider() = ReactModuleInfoProvider {
        val name = TertuliaAudioModule.NAME
        mapOf(name to ReactModuleInfo(name, name, false, false, false, false))
    }
}
