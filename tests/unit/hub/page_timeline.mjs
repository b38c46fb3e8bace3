// What the hub's page makes of messages, without a browser. Run by node's own test runner.

import assert from 'node:assert/strict';
import { test } from 'node:test';

const { ago, buildTimeline, describe, duration, errorText, parseProgress, splitFences, splitInline,
        usageLine } = await import(process.env.NAIRID_SOURCE + '/daemon/hub/page/timeline.mjs');

const T0 = '2026-01-02T03:04:05.000Z', T1 = '2026-01-02T03:05:10.000Z';

function message(id, role, content, more = {}) {
    return { id, role, content, status: 'completed', created_at: T0, updated_at: T0, ...more };
}

function progress(id, of, payload, more = {}) {
    return message(id, 'progress', JSON.stringify(payload), { processed_message_id: of, ...more });
}

test('progress stands in one activity below the message it belongs to', () => {
    const items = buildTimeline([
        message('u1', 'user', 'do it'),
        progress('p1', 'u1', { progress_type: 'text', text_delta: 'I look.' }),
        progress('p2', 'u1', { progress_type: 'tool_use', tool_name: 'Bash', tool_input: 'ls' },
                 { updated_at: T1 }),
        message('a1', 'assistant', 'done'),
    ]);
    assert.deepEqual(items.map((i) => i.kind), ['user', 'activity', 'assistant']);
    assert.deepEqual(items[1].steps.map(describe), ['I look.', 'Bash ls']);
    assert.equal(items[1].running, false);
    assert.equal(duration(items[1].from, items[1].to), '1 min 5 s');
});

test('a call that is told again is the same step, with its newest state', () => {
    const call = { progress_type: 'tool_use', tool_use_id: 't1' };
    const [, activity] = buildTimeline([
        message('u1', 'user', 'x', { status: 'pending' }),
        progress('p1', 'u1', { ...call, tool_name: 'Bash', tool_input: 'make', tool_status: 'running' }),
        progress('p2', 'u1', { ...call, progress_type: 'tool_heartbeat', summary: 'Running for 9s...' }),
        progress('p3', 'u1', { ...call, tool_status: 'error', tool_output: 'no rule' }),
    ]);
    assert.equal(activity.steps.length, 1);
    assert.equal(activity.running, true);
    assert.equal(activity.steps[0].status, 'error');
    assert.equal(activity.steps[0].input, 'make');
    assert.equal(activity.steps[0].output, 'no rule');
});

test('progress that is no JSON object shows nothing and breaks nothing', () => {
    for (const content of ['', '{', 'null', '[1]', '"x"', '7'])
        assert.equal(parseProgress(message('p', 'progress', content)), null);
    const items = buildTimeline([message('u1', 'user', 'x'), message('p', 'progress', '{')]);
    assert.deepEqual(items.map((i) => i.kind), ['user']);
    const odd = parseProgress(message('p', 'progress', '{"tool_name":{"a":1},"tool_input":3}'));
    assert.equal(describe(odd), 'tool');
});

test('a system message with the error prefix is a failure, another one is not', () => {
    const items = buildTimeline([
        message('s1', 'system', 'nairid encountered error: no room'),
        message('s2', 'system', 'Job complete - Thread is inactive'),
    ]);
    assert.deepEqual(items.map((i) => i.kind), ['error', 'system']);
    assert.equal(errorText(items[0].message), 'no room');
});

test('fences part code from prose, a fence without an end too', () => {
    assert.deepEqual(splitFences('a\n```c\nint x;\n```\nb'), [
        { code: false, text: 'a' }, { code: true, text: 'int x;' }, { code: false, text: 'b' }]);
    assert.deepEqual(splitFences('```\nlast'), [{ code: true, text: 'last' }]);
    assert.deepEqual(splitFences(''), []);
});

test('only http and https become links', () => {
    for (const bad of ['[x](javascript:alert(1))', '<javascript:alert(1)|x>', 'data:text/html,x',
                       '[x](file:///etc/passwd)', '[x](//host/y)'])
        assert.ok(splitInline(bad).every((p) => p.kind !== 'link'), bad);
    assert.deepEqual(splitInline('see https://a.example/b.'), [
        { kind: 'text', text: 'see ' },
        { kind: 'link', text: 'https://a.example/b', url: 'https://a.example/b' },
        { kind: 'text', text: '.' }]);
    assert.deepEqual(splitInline('<https://a.example|here> [t](http://b.example/)').map((p) => p.url),
                     ['https://a.example', undefined, 'http://b.example/']);
});

test('code and bold words are found, and nothing inside code', () => {
    assert.deepEqual(splitInline('`*a*` *b* **c** 2*3*4'), [
        { kind: 'code', text: '*a*' }, { kind: 'text', text: ' ' }, { kind: 'bold', text: 'b' },
        { kind: 'text', text: ' ' }, { kind: 'bold', text: 'c' }, { kind: 'text', text: ' 2*3*4' }]);
});

test('a long text that is made to be slow to read is read to its end', () => {
    for (const s of ['*', '`', '[', '<http://', '**a', '[a](http://', '*a '])
        splitInline(s.repeat(250000 / s.length)); // minutes each, where the time is quadratic
});

test('times and costs are said in words', () => {
    const now = Date.parse(T0);
    assert.equal(ago(T0, now + 4000), 'now');
    assert.equal(ago(T0, now + 65000), '1 min ago');
    assert.equal(ago(T0, now + 7200000), '2 h ago');
    assert.equal(ago('nonsense', now), '');
    assert.equal(usageLine({ model: 'm', input_tokens: 1234, output_tokens: 5, cost_usd: '0.0012' }),
                 'm · 1,234 tokens in, 5 out · $0.0012');
    assert.equal(usageLine({}), '');
});
