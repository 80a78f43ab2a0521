// What the pages' modules keep to. Names and types are tsc's part.
import js from '@eslint/js';

/** A text never becomes markup; what a person must know is shown, not logged. */
const markup = ['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'write', 'cssText'];

export default [
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    rules: {
      'no-undef': 'off',
      'no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'no-restricted-properties': ['error', ...markup.map((property) => (
        property === 'write' ? { object: 'document', property } : { property }
      ))],
      'no-console': ['error', { allow: ['info', 'warn'] }],
      'prefer-const': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-template': 'error',
      'no-shadow': 'error',
      eqeqeq: 'error',
      'func-style': ['error', 'declaration', { allowArrowFunctions: true }],
      complexity: ['error', 16],
      'max-lines': ['error', { max: 360, skipComments: true, skipBlankLines: true }],
    },
  },
  // A language is one file, however much there is to say.
  { files: ['web/locales/*.js'], rules: { 'max-lines': 'off' } },
];
