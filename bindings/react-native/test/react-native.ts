/** The part of React Native's JavaScript that the package uses: it finds modules as TurboModuleRegistry.js does. */
declare const globalThis: { __turboModuleProxy(name: string): unknown };

export const TurboModuleRegistry = {
  get(name: string): unknown {
    return name === 'TertuliaAudio' && Platform.OS === 'android' ? { install: () => asked.push('install') > 0 } : null;
  },
  getEnforcing(name: string): unknown {
    const found = globalThis.__turboModuleProxy(name);
    if (!found) throw new Error(`TurboModuleRegistry.getEnforcing(...): '${name}' could not be found`);
    return found;
  },
};

/** The platform that a test wants, and what its users answer. */
export const Platform = { OS: 'ios' };
export const asked: string[] = [];
export const PermissionsAndroid = {
  async request(permission: string): Promise<string> {
    asked.push(permission);
    return 'denied';
  },
};
