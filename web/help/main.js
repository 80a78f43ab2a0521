// @ts-check
/** The help page: nothing but words. */

import { fillIn } from '../shared/i18n.js';

fillIn();
