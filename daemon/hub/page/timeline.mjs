// timeline.mjs - what a conversation's messages mean, without a browser: messages of the public
// API in, items to show out. Everything in a message is text that an agent or a person wrote.

export const ERROR_PREFIX = 'nairid encountered error: ';

function text(value) {
    return typeof value === 'string' ? value : '';
}

// The payload of an agent_progress_v1 as a step; null if it isn't an object.
export function readStep(payload) {
    if (payload === null || typeof payload !== 'object' || Array.isArray(payload))
        return null;
    return {
        type: text(payload.progress_type),
        tool: text(payload.tool_name),
        input: text(payload.tool_input),
        status: text(payload.tool_status),
        use: text(payload.tool_use_id),
        parent: text(payload.parent_tool_use_id),
        output: text(payload.tool_output),
        summary: text(payload.summary),
        delta: text(payload.text_delta),
    };
}

// A progress message's content is such a payload as a JSON text; null if it isn't one.
export function parseProgress(message) {
    let step;
    try {
        step = readStep(JSON.parse(message.content));
    } catch {
        return null;
    }
    return step && { ...step, id: message.id };
}

// What happened last of one tool call wins; what it doesn't say stays.
function merge(step, later) {
    for (const [key, value] of Object.entries(later))
        if (value !== '' && key !== 'id' && key !== 'type')
            step[key] = value;
    if (later.type !== 'tool_heartbeat')
        step.summary = later.summary;
}

// One line for people.
export function describe(step) {
    if (step.type === 'text')
        return step.delta;
    if (step.type === 'step' || step.type === 'subagent')
        return step.summary || step.type;
    const input = step.input.split('\n', 1)[0];
    return [step.tool || 'tool', input].filter(Boolean).join(' ');
}

export function isOpen(message) {
    return message.role === 'user' && (message.status === 'queued' || message.status === 'pending');
}

// Messages, oldest first, as items: user, activity (the steps of one user's message), assistant,
// error, system. Progress that is told twice, or updated, is one step.
export function buildTimeline(messages) {
    const items = [];
    const activities = new Map();
    let last = null;

    for (const message of messages) {
        if (message.role === 'progress') {
            const step = parseProgress(message);
            const of = message.processed_message_id || (last && last.id) || '';
            if (!step)
                continue;
            let activity = activities.get(of);
            if (!activity) {
                activity = { kind: 'activity', id: `activity-${of}`, of, steps: [], uses: new Map(),
                             running: false, from: message.created_at, to: message.created_at };
                activities.set(of, activity);
                items.push(activity);
            }
            activity.to = message.updated_at || message.created_at;
            const known = activity.uses.get(step.use || message.id);
            if (known) {
                merge(known, step);
            } else {
                activity.steps.push(step);
                activity.uses.set(step.use || message.id, step);
            }
            continue;
        }
        if (message.role === 'user')
            last = message;
        const failed = message.role === 'system' && text(message.content).startsWith(ERROR_PREFIX);
        items.push({ kind: failed ? 'error' : message.role, id: message.id, message });
    }
    for (const item of items)
        if (item.kind === 'user' && activities.has(item.id))
            activities.get(item.id).running = isOpen(item.message);
    return items;
}

// The text after the error prefix.
export function errorText(message) {
    return message.content.slice(ERROR_PREFIX.length);
}

// Fenced code and what stands between: [{ code, text }].
export function splitFences(source) {
    const blocks = [];
    let lines = [], code = false;

    function push() {
        const block = lines.join('\n');
        if (code || block.trim() !== '')
            blocks.push({ code, text: code ? block : block.replace(/^\n+|\n+$/g, '') });
        lines = [];
    }
    for (const line of source.split('\n')) {
        if (/^\s*```/.test(line)) {
            push();
            code = !code;
        } else {
            lines.push(line);
        }
    }
    push();
    return blocks;
}

// One stretch of text: [{ kind: 'text' | 'code' | 'bold' | 'link', text, url? }]. A link is http or
// https and nothing else. Each kind has a longest form, so that no text takes long to read.
export function splitInline(source) {
    const pattern = new RegExp([
        /`([^`\n]{1,300})`/, /\*\*([^*\n]{1,300})\*\*/, /(?<![\w*])\*([^*\s][^*\n]{0,300})\*(?![\w*])/,
        /\[([^\]\n]{1,300})\]\((https?:\/\/[^\s)]{1,1000})\)/,
        /<(https?:\/\/[^\s|>]{1,1000})(?:\|([^>\n]{1,300}))?>/,
        /(https?:\/\/[^\s<>"'`)\]]{0,1000}[^\s<>"'`)\].,;:!?])/,
    ].map((r) => r.source).join('|'), 'g');
    const parts = [];
    let at = 0;

    for (const m of source.matchAll(pattern)) {
        if (m.index > at)
            parts.push({ kind: 'text', text: source.slice(at, m.index) });
        at = m.index + m[0].length;
        if (m[1] !== undefined)
            parts.push({ kind: 'code', text: m[1] });
        else if (m[2] !== undefined || m[3] !== undefined)
            parts.push({ kind: 'bold', text: m[2] ?? m[3] });
        else
            parts.push({ kind: 'link', text: m[4] ?? m[7] ?? m[6] ?? m[8], url: m[5] ?? m[6] ?? m[8] });
    }
    if (at < source.length)
        parts.push({ kind: 'text', text: source.slice(at) });
    return parts;
}

export function ago(iso, now) {
    const s = Math.max(0, Math.round((now - Date.parse(iso)) / 1000));
    if (!Number.isFinite(s))
        return '';
    if (s < 10)
        return 'now';
    if (s < 60)
        return `${s} s ago`;
    if (s < 3600)
        return `${Math.floor(s / 60)} min ago`;
    if (s < 86400)
        return `${Math.floor(s / 3600)} h ago`;
    return `${Math.floor(s / 86400)} d ago`;
}

export function duration(from, to) {
    const s = Math.max(0, Math.round((Date.parse(to) - Date.parse(from)) / 1000));
    if (!Number.isFinite(s))
        return '';
    return s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${s % 60} s`;
}

// "claude-x · 12,345 in, 678 out · $0.0123", with what there is of it.
export function usageLine(message) {
    const parts = [];
    const cost = Number(message.cost_usd);
    if (message.model)
        parts.push(String(message.model));
    if (Number.isFinite(message.input_tokens) && Number.isFinite(message.output_tokens))
        parts.push(`${message.input_tokens.toLocaleString('en')} tokens in, ` +
                   `${message.output_tokens.toLocaleString('en')} out`);
    if (message.cost_usd !== undefined && Number.isFinite(cost))
        parts.push(`$${cost.toFixed(cost < 0.01 ? 4 : 2)}`);
    return parts.join(' · ');
}
