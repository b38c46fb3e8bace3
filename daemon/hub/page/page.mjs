// page.mjs - the page's state, and what people do. It asks the hub again and again while it is seen.

import * as api from './api.mjs';
import { buildTimeline, isOpen } from './timeline.mjs';
import { el, showAgents, showConversations, showTimeline } from './render.mjs';

const BUSY_MS = 1500, IDLE_MS = 5000, AWAY_MS = 10000;
const PAGE = 50;

const $ = (id) => document.getElementById(id);
const state = {
    agents: [],
    conversations: new Map(), // those seen so far: the newest, and older ones asked for
    more: false,      // there are older ones
    job: '',          // the conversation that is open, '' for a new one
    messages: [],     // its messages
    earlier: false,   // there are older messages than those
    timer: 0, turn: 0, failures: 0, sending: false,
};

// ---- signing in ----

function showSignin(why) {
    clearTimeout(state.timer);
    state.turn++;
    $('app').hidden = true;
    $('signin').hidden = false;
    $('signin-error').hidden = !why;
    $('signin-error').textContent = why || '';
    $('key').focus();
}

async function signIn(event) {
    event.preventDefault();
    const key = $('key').value.trim();

    api.storeKey(key, $('remember').checked);
    try {
        state.agents = await api.agents();
    } catch (error) {
        api.forgetKey();
        showSignin(error.status === 401 || error.status === 403
            ? `The hub refuses this key: ${error.message}` : error.message);
        return;
    }
    $('key').value = '';
    open();
}

function open() {
    $('signin').hidden = true;
    $('app').hidden = false;
    select();
}

function failed(error) {
    if (error.status === 401 || error.status === 403) {
        api.forgetKey();
        showSignin(`The hub refuses the key now: ${error.message}`);
        return;
    }
    state.failures++;
    $('link').textContent = error.status === 0
        ? 'The hub can’t be reached; trying again.' : error.message;
    $('link').className = 'error';
}

// ---- asking the hub ----

function busy() {
    return state.messages.some(isOpen) ||
        state.agents.some((a) => Array.isArray(a.working_on) && a.working_on.length > 0);
}

function schedule() {
    clearTimeout(state.timer);
    if (!$('app').hidden && !document.hidden)
        state.timer = setTimeout(refresh, state.failures > 0 ? AWAY_MS : busy() ? BUSY_MS : IDLE_MS);
}

function replaceNewest(newest) {
    const first = newest.length > 0 ? state.messages.findIndex((m) => m.id === newest[0].id) : -1;
    state.messages = first > 0 ? state.messages.slice(0, first).concat(newest) : newest;
}

async function refresh() {
    const turn = ++state.turn, job = state.job;

    clearTimeout(state.timer);
    try {
        const [agents, list, answer] = await Promise.all([
            api.agents(), api.conversations(PAGE, 0), job ? api.messages(job) : null,
        ]);
        if (turn !== state.turn)
            return; // somebody went elsewhere meanwhile
        state.agents = agents;
        if (state.conversations.size <= PAGE)
            state.more = list.more === true;
        learn(list.conversations);
        if (answer) {
            if (state.messages.length <= answer.messages.length)
                state.earlier = answer.more === true;
            replaceNewest(answer.messages);
        }
        state.failures = 0;
        $('link').textContent = '';
        $('link').className = '';
        show();
    } catch (error) {
        if (turn !== state.turn)
            return;
        if (error.status === 404 && job)
            location.hash = '#new';
        failed(error);
    }
    schedule();
}

// ---- showing ----

function names() {
    return new Map(state.agents.flatMap((a) => [[a.id, a.name], [a.agent_id, a.name]]));
}

function learn(conversations) {
    for (const c of conversations)
        state.conversations.set(c.id, c);
}

function newestFirst() {
    return Array.from(state.conversations.values())
        .sort((a, b) => Date.parse(b.updated_at) - Date.parse(a.updated_at));
}

function showOptions() {
    const select = $('agent'), chosen = select.value;
    const wanted = JSON.stringify(state.agents.map((a) => [a.id, a.name, a.instances_online > 0]));

    if (select.dataset.print === wanted)
        return; // an open list isn't disturbed
    select.dataset.print = wanted;
    select.replaceChildren(...state.agents.map((a) =>
        el('option', { value: a.id },
           `${a.name || a.agent_id}${a.instances_online > 0 ? '' : ' (offline)'}`)));
    const online = state.agents.find((a) => a.instances_online > 0);
    if (state.agents.some((a) => a.id === chosen))
        select.value = chosen;
    else if (online)
        select.value = online.id;
}

function show() {
    const main = $('conversation');
    const atEnd = main.scrollHeight - main.scrollTop - main.clientHeight < 80;
    const current = state.conversations.get(state.job);
    const running = state.messages.some(isOpen);

    showAgents($('agents'), state.agents);
    showConversations($('conversations'), newestFirst(), names(), state.job);
    showTimeline($('timeline'), buildTimeline(state.messages), download);
    showOptions();
    $('title').replaceChildren(state.job
        ? el('h1', null, (current && current.title) || 'Conversation')
        : el('h1', null, 'New conversation'));
    if (state.job)
        $('title').append(el('p', { class: 'note' }, state.job));
    else
        $('title').append(el('p', { class: 'note' },
            'Your message goes to an agent: a program on a machine of yours that runs it in a ' +
            'sandbox. Its steps and its answer appear here.'));
    $('older').hidden = !state.more;
    $('earlier').hidden = !state.earlier;
    $('start-options').hidden = state.job !== '';
    $('stop').hidden = !running;
    $('send').textContent = state.job ? running ? 'Send next' : 'Continue' : 'Start';
    if (atEnd)
        main.scrollTop = main.scrollHeight;
}

function select() {
    const hash = decodeURIComponent(location.hash.slice(1));
    const job = /^job?_[0-9A-Za-z]+$/.test(hash) ? hash : '';

    if (job !== state.job) {
        state.messages = [];
        state.earlier = false;
        $('timeline').replaceChildren();
    }
    state.job = job;
    $('send-error').hidden = true;
    showMenu(false);
    show();
    if (!job)
        $('prompt').focus();
    refresh();
}

function showMenu(on) {
    document.body.classList.toggle('menu', on);
    $('menu').setAttribute('aria-expanded', String(on));
}

// ---- what people do ----

function complain(error) {
    $('send-error').textContent = error.message;
    $('send-error').hidden = false;
}

async function send(event) {
    event.preventDefault();
    const prompt = $('prompt').value, files = Array.from($('files').files);
    const job = state.job;

    if (state.sending)
        return;
    if (prompt.trim() === '') {
        $('prompt').focus();
        return;
    }
    state.sending = true;
    $('send').disabled = true;
    $('send-error').hidden = true;
    try {
        const body = { prompt };
        const ids = [];
        for (const file of files)
            ids.push(await api.upload(file));
        if (ids.length > 0)
            body.attachment_ids = ids;
        if (!job) {
            body.agent_id = $('agent').value;
            body.ask_mode = $('ask').checked;
        }
        const made = job ? await api.proceed(job, body) : await api.start(body);
        $('prompt').value = '';
        $('composer').reset();
        showChosen();
        $('conversation').scrollTop = $('conversation').scrollHeight;
        if (job)
            refresh();
        else
            location.hash = `#${made.job_id}`;
    } catch (error) {
        if (error.status === 401 || error.status === 403)
            failed(error);
        else
            complain(error);
    }
    state.sending = false;
    $('send').disabled = false;
}

async function stop() {
    $('stop').disabled = true;
    try {
        await api.stop(state.job);
        refresh();
    } catch (error) {
        complain(error);
    }
    $('stop').disabled = false;
}

async function download(id, button) {
    const words = button.textContent;

    button.disabled = true;
    button.textContent = 'Fetching…';
    try {
        const { filename, blob } = await api.download(id);
        const link = el('a', { href: URL.createObjectURL(blob), download: filename || id });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 60000);
        button.textContent = filename || words;
    } catch (error) {
        button.textContent = words;
        complain(error);
    }
    button.disabled = false;
}

async function loadEarlier() {
    const job = state.job;

    try {
        const answer = await api.messages(job, state.messages[0].id);
        if (job !== state.job)
            return;
        state.messages = answer.messages.concat(state.messages);
        state.earlier = answer.more === true;
        show();
    } catch (error) {
        complain(error);
    }
}

async function loadOlder() {
    try {
        const list = await api.conversations(PAGE, state.conversations.size);
        learn(list.conversations);
        state.more = list.more === true;
        show();
    } catch (error) {
        failed(error);
    }
}

function showChosen() {
    $('chosen').textContent = Array.from($('files').files, (f) => f.name).join(', ');
}

$('signin').addEventListener('submit', signIn);
$('signout').addEventListener('click', () => { api.forgetKey(); showSignin(); });
$('composer').addEventListener('submit', send);
$('stop').addEventListener('click', stop);
$('files').addEventListener('change', showChosen);
$('earlier').addEventListener('click', loadEarlier);
$('older').addEventListener('click', loadOlder);
$('menu').addEventListener('click', () => showMenu(!document.body.classList.contains('menu')));
$('prompt').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey))
        $('composer').requestSubmit();
});
// A person's click, not ours: remembered when the list is made anew.
$('timeline').addEventListener('click', (event) => {
    const summary = event.target.closest('summary');
    if (summary)
        summary.parentElement.dataset.touched = '1';
});
window.addEventListener('hashchange', () => { if (!$('app').hidden) select(); });
document.addEventListener('visibilitychange', () => {
    if (!document.hidden && !$('app').hidden)
        refresh();
});

if (api.storedKey())
    open();
else
    showSignin();
