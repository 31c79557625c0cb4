require 'json'

package = JSON.parse(File.read(File.join(__dir__, 'package.json')))

Pod::Spec.new do |spec|
  spec.name = 'tertulia-react-native'
  spec.version = package['version']
  spec.summary = package['description']
  spec.license = package['license']
  spec.homepage = 'https://github.com/tertulia/tertulia'
  spec.authors = 'The authors of Tertulia'
  spec.platforms = { ios: '16.0' }
  spec.source = { path: '.' }
  spec.source_files = 'cpp/**/*.{h,cpp}', 'generated/**/*.{h,cpp}', 'include/*.h', 'ios/**/*.{h,cpp,mm,swift}'
  spec.exclude_files = 'ios/TertuliaFFI.xcframework/**/*'
  spec.swift_version = '6.0'
  spec.frameworks = 'AVFoundation'
  spec.private_header_files = '**/*.h'
  spec.vendored_frameworks = 'ios/TertuliaFFI.xcframework'
  spec.pod_target_xcconfig = { 'CLANG_CXX_LANGUAGE_STANDARD' => 'c++20' }
  install_modules_dependencies(spec)
end
