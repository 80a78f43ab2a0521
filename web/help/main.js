// @ts-check
/** The help page: text only. */

import { fillIn } from '../shared/i18n.js';

fillIn();
