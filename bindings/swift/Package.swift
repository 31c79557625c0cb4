// swift-tools-version: 6.0
// The package of Tertulia for Swift. On Apple's platforms the engine is an xcframework: the one beside this file (xcframework.sh makes it), or
// the one at TERTULIA_XCFRAMEWORK_URL with its TERTULIA_XCFRAMEWORK_CHECKSUM. Elsewhere it is the installed library `tertulia`.
import Foundation
import PackageDescription

let environment = ProcessInfo.processInfo.environment

#if os(macOS)
let engine: Target =
    if let url = environment["TERTULIA_XCFRAMEWORK_URL"], let checksum = environment["TERTULIA_XCFRAMEWORK_CHECKSUM"] {
        .binaryTarget(name: "TertuliaFFI", url: url, checksum: checksum)
    } else {
        .binaryTarget(name: "TertuliaFFI", path: "TertuliaFFI.xcframework")
    }
#else
let engine: Target = .systemLibrary(name: "TertuliaFFI", path: "Sources/TertuliaFFI")
#endif

func example(_ name: String) -> Target {
    .executableTarget(name: name, dependencies: ["Tertulia"], path: "Examples/\(name)", swiftSettings: [.swiftLanguageMode(.v6)])
}

/// Only for a library with the feature `testing`.
let conformance: [Target] =
    environment["TERTULIA_TESTING"] == nil
    ? []
    : [
        .executableTarget(
            name: "TertuliaConformance", dependencies: ["Tertulia"], path: "Tests/Conformance", swiftSettings: [.swiftLanguageMode(.v6)])
    ]

let package = Package(
    name: "Tertulia",
    platforms: [.macOS(.v13), .iOS(.v16)],
    products: [.library(name: "Tertulia", targets: ["Tertulia"])],
    targets: [
        engine,
        // Written by uniffi, which does not know Swift 6's rules of isolation.
        .target(name: "TertuliaGenerated", dependencies: ["TertuliaFFI"], swiftSettings: [.swiftLanguageMode(.v5)]),
        .target(name: "Tertulia", dependencies: ["TertuliaGenerated"], swiftSettings: [.swiftLanguageMode(.v6)]),
        // Ends in the ways in which an app can end; the tests start it.
        .executableTarget(
            name: "TertuliaProbe", dependencies: ["TertuliaTestSupport"], path: "Tests/Probe", swiftSettings: [.swiftLanguageMode(.v6)]),
        .target(name: "TertuliaTestSupport", dependencies: ["Tertulia"], path: "Tests/Support", swiftSettings: [.swiftLanguageMode(.v6)]),
        example("CustomChat"), example("History"), example("Talk"), example("Transcribe"),
        .testTarget(
            name: "TertuliaTests", dependencies: ["TertuliaTestSupport", "TertuliaProbe"], swiftSettings: [.swiftLanguageMode(.v6)]),
    ] + conformance
)
