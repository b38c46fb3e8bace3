// render.mjs - items to elements. Texts become text nodes and nothing else: no markup of an agent's
// or a person's ever reaches the parser.

import { ago, describe, duration, errorText, readStep, splitFences, splitInline, usageLine }
    from './timeline.mjs';

const OUTPUT_MAX = 4000; // characters of a tool's output that are shown

export function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {}))
        if (value === true)
            node.setAttribute(name, '');
        else if (value !== false && value !== null && value !== undefined)
            node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
}

function inline(source) {
    return splitInline(source).map((part) => {
        if (part.kind === 'code')
            return el('code', null, part.text);
        if (part.kind === 'bold')
            return el('strong', null, part.text);
        if (part.kind === 'link')
            return el('a', { href: part.url, target: '_blank', rel: 'noopener noreferrer nofollow' },
                      part.text);
        return document.createTextNode(part.text);
    });
}

function prose(source) {
    return splitFences(source).map((block) => block.code
        ? el('pre', { tabindex: '0' }, el('code', null, block.text))
        : el('p', { class: 'prose' }, ...inline(block.text)));
}

function stamp(message) {
    return el('time', { datetime: message.created_at,
                        title: new Date(message.created_at).toLocaleString() },
              ago(message.created_at, Date.now()));
}

function attachments(message, onDownload) {
    const ids = Array.isArray(message.attachment_ids) ? message.attachment_ids : [];
    if (ids.length === 0)
        return null;
    return el('ul', { class: 'files' }, ...ids.map((id, i) => {
        const button = el('button', { type: 'button', class: 'quiet' }, `Download file ${i + 1}`);
        button.addEventListener('click', () => onDownload(String(id), button));
        return el('li', null, button);
    }));
}

const STATUS = {
    queued: 'waiting for an agent that is online',
    pending: 'the agent works on it',
    failed: 'failed',
};

function user(item, onDownload) {
    const { message } = item;
    const words = STATUS[message.status];
    return el('li', { class: 'user', 'data-status': message.status },
              el('div', { class: 'who' }, 'You ', stamp(message)),
              el('p', { class: 'prose' }, message.content),
              attachments(message, onDownload),
              words ? el('div', { class: 'state' }, words) : null);
}

function assistant(item, onDownload) {
    const usage = usageLine(item.message);
    return el('li', { class: 'assistant' },
              el('div', { class: 'who' }, 'Agent ', stamp(item.message)),
              ...prose(item.message.content),
              attachments(item.message, onDownload),
              usage ? el('div', { class: 'usage' }, usage) : null);
}

function error(item) {
    return el('li', { class: 'failure' },
              el('div', { class: 'who' }, 'Failed ', stamp(item.message)),
              el('p', { class: 'prose' }, errorText(item.message)));
}

function system(item) {
    return el('li', { class: 'system' }, el('span', null, ...inline(item.message.content)), ' ',
              stamp(item.message));
}

const MARKS = { running: ['…', 'running'], completed: ['✓', 'done'], error: ['✗', 'failed'] };

function step(s) {
    const [mark, word] = MARKS[s.status] || ['·', s.status || s.type];
    const line = [el('span', { class: 'mark', title: word, 'aria-label': word }, mark), ' ',
                  el('span', { class: s.tool ? 'tool' : 'words' }, describe(s))];
    const more = [s.input.includes('\n') ? s.input : '', s.tool ? s.summary : '', s.output]
        .filter(Boolean).join('\n\n');
    const attributes = { class: `step ${s.type}${s.parent ? ' nested' : ''}`,
                         'data-status': s.status || null };
    if (!more)
        return el('li', attributes, ...line);
    const shown = more.length > OUTPUT_MAX
        ? `${more.slice(0, OUTPUT_MAX)}\n… ${more.length - OUTPUT_MAX} more characters` : more;
    return el('li', attributes, el('details', { 'data-key': s.use || s.id },
                                   el('summary', null, ...line), el('pre', { tabindex: '0' }, shown)));
}

function activity(item) {
    const { steps } = item;
    const calls = steps.filter((s) => s.tool).length;
    const last = steps[steps.length - 1];
    const head = item.running
        ? ['Working: ', el('span', { class: 'now' }, describe(last))]
        : [`Worked ${duration(item.from, item.to)}` +
           (calls > 0 ? `, ${calls} tool ${calls === 1 ? 'call' : 'calls'}` : '')];
    return el('li', { class: 'activity', 'data-running': item.running },
              el('details', { 'data-key': item.id, open: item.running },
                 el('summary', null, ...head), el('ol', null, ...steps.map(step))));
}

const KINDS = { user, assistant, error, system, activity };

function fingerprint(item) {
    return JSON.stringify(item, (key, value) => key === 'uses' ? undefined : value);
}

// What a person opened or closed stays so when the element is made anew.
function keepOpen(from, to) {
    const before = new Map();
    for (const details of from.querySelectorAll('details[data-key]'))
        if (details.dataset.touched)
            before.set(details.dataset.key, details.open);
    for (const details of to.querySelectorAll('details[data-key]'))
        if (before.has(details.dataset.key)) {
            details.open = before.get(details.dataset.key);
            details.dataset.touched = '1';
        }
}

// Brings list up to items, and touches only what changed: a selection in the rest stays.
export function showTimeline(list, items, onDownload) {
    const old = new Map(Array.from(list.children, (node) => [node.dataset.id, node]));
    let place = list.firstElementChild;

    for (const item of items) {
        const print = fingerprint(item);
        let node = old.get(item.id);
        if (!node || node.dataset.print !== print) {
            const made = (KINDS[item.kind] || system)(item, onDownload);
            made.dataset.id = item.id;
            made.dataset.print = print;
            if (node) {
                keepOpen(node, made);
                if (node === place)
                    place = made;
                node.replaceWith(made);
            }
            node = made;
        }
        if (node === place)
            place = place.nextElementSibling;
        else
            list.insertBefore(node, place);
        old.delete(item.id);
    }
    for (const node of old.values())
        node.remove();
}

function doing(work) {
    const step = readStep(work.progress);
    return el('a', { href: `#${work.job_id}`, class: 'doing' },
              (step && describe(step)) || 'working');
}

export function showAgents(list, agents) {
    list.replaceChildren(...agents.map((agent) => {
        const online = agent.instances_online > 0;
        const work = Array.isArray(agent.working_on) ? agent.working_on : [];
        return el('li', { class: online ? 'online' : 'offline' },
                  el('span', { class: 'dot', 'aria-hidden': 'true' }),
                  el('span', { class: 'name' }, agent.name || agent.agent_id),
                  el('span', { class: 'note' },
                     online ? work.length > 0 ? '' : 'idle' : 'offline'),
                  ...work.map(doing));
    }));
    if (agents.length === 0)
        list.append(el('li', { class: 'note' }, 'none yet: `nairi-hub key create --agent NAME`'));
}

export function showConversations(list, conversations, names, selected) {
    list.replaceChildren(...conversations.map((c) => el('li', null,
        el('a', { href: `#${c.id}`, 'aria-current': c.id === selected ? 'page' : null,
                  'data-status': c.status },
           el('span', { class: 'what' }, c.title || c.id),
           el('span', { class: 'note' }, [names.get(c.agent_id),
                                           c.status === 'active' ? '' : c.status,
                                           ago(c.updated_at, Date.now())]
               .filter(Boolean).join(' · '))))));
    if (conversations.length === 0)
        list.append(el('li', { class: 'note' }, 'none yet'));
}
