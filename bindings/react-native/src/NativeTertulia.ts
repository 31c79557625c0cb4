import { TurboModuleRegistry, type TurboModule } from 'react-native';
import type { UnsafeObject } from 'react-native/Libraries/Types/CodegenTypes';

/** The module in C++; `native.ts` gives its functions their types. */
export interface Spec extends TurboModule {
  readonly native: () => UnsafeObject;
}

export default TurboModuleRegistry.getEnforcing<Spec>('Tertulia');
