import { TurboModuleRegistry, type TurboModule } from 'react-native';

/** The module in C++; `native.ts` gives its functions their types. */
export interface Spec extends TurboModule {
  readonly native: () => Object;
}

export default TurboModuleRegistry.getEnforcing<Spec>('Tertulia');
