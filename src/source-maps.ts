import { setSourceMapsSupport } from 'node:module';

// Node maps only modules that load after this: entries import it first, and the app dynamically.
setSourceMapsSupport(true);
