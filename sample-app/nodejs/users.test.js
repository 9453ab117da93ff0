import assert from 'node:assert/strict';
import { test } from 'node:test';

import { clean, contains } from './users.js';

test('input is cleaned', () => {
  const ada = { name: 'Ada', email: 'ada@example.com' };
  assert.deepEqual(clean(ada), ada);
  assert.deepEqual(clean({ name: ' Ada\u0085', email: '\tada@example.com\n' }), ada);
  assert.equal(clean({ ...ada, name: '🌱'.repeat(100) }).name.length, 200);
});

for (const [what, input, says] of [
  ['no name', { name: ' ', email: 'ada@example.com' }, /name is required/],
  ['a long name', { name: 'ü'.repeat(101), email: 'ada@example.com' }, /longer than 100/],
  ['a control character', { name: 'A\u0000da', email: 'ada@example.com' }, /control character/],
  ['no email', { name: 'Ada', email: null }, /email is required/],
  ['an email with more', { name: 'Ada', email: 'Ada <ada@example.com>' }, /not an address/],
  ['two emails', { name: 'Ada', email: 'a@example.com, b@example.com' }, /not an address/],
  ['a long email', { name: 'Ada', email: `${'ü'.repeat(122)}@example.com` }, /not an address/],
]) {
  test(`${what} is refused`, () => assert.throws(() => clean(input), says));
}

test('search text is no pattern', () => {
  assert.equal(contains('50%_\\'), '%50\\%\\_\\\\%');
});
