// The module in C++, which the app's build compiles, and the Gradle project of the devices.
module.exports = {
  dependency: {
    platforms: {
      android: {
        sourceDir: './android',
        packageImportPath: 'import dev.tertulia.reactnative.TertuliaPackage;',
        packageInstance: 'new TertuliaPackage()',
        cxxModuleCMakeListsModuleName: 'tertulia_react_native',
        cxxModuleCMakeListsPath: 'CMakeLists.txt',
        cxxModuleHeaderName: 'TertuliaModule',
      },
    },
  },
};
