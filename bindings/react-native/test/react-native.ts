/** The part of React Native's JavaScript that the package uses: it finds modules as TurboModuleRegistry.js does. */
declare const globalThis: { __turboModuleProxy(name: string): unknown };

export const TurboModuleRegistry = {
  getEnforcing(name: string): unknown {
    const found = globalThis.__turboModuleProxy(name);
    if (!found) throw new Error(`TurboModuleRegistry.getEnforcing(...): '${name}' could not be found`);
    return found;
  },
};
