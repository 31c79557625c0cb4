// First, since the collector leaves old objects be in a heap that is large already.
import './collected.test';
import './turns.test';
import './store.test';
import './audio.test';
import './ends.test';
import { run } from './harness';

void run();
