// A module of C++ alone: the app's build compiles it, and there is no Gradle project.
module.exports = {
  dependency: {
    platforms: {
      android: {
        sourceDir: './android',
        cxxModuleCMakeListsModuleName: 'tertulia_react_native',
        cxxModuleCMakeListsPath: 'CMakeLists.txt',
        cxxModuleHeaderName: 'TertuliaModule',
      },
    },
  },
};
