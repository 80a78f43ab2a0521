// @ts-check
/** The help page: nothing but words. */

import { fillIn } from './words.js';

fillIn();
