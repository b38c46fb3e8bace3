// api.mjs - the hub's public API for the page. The key is kept by the browser for this origin only,
// until the page is told to forget it.

const BASE = '/api/public/v1';
const SLOT = 'nairi-organisation-key';

export class ApiError extends Error {
    constructor(status, message) {
        super(message);
        this.status = status; // 0: the hub wasn't reached
    }
}

export function storedKey() {
    return sessionStorage.getItem(SLOT) || localStorage.getItem(SLOT) || '';
}

export function storeKey(key, remember) {
    forgetKey();
    (remember ? localStorage : sessionStorage).setItem(SLOT, key);
}

export function forgetKey() {
    sessionStorage.removeItem(SLOT);
    localStorage.removeItem(SLOT);
}

async function send(method, path, body) {
    const headers = { Authorization: `Bearer ${storedKey()}` };
    const multipart = body instanceof FormData;
    let response;

    if (body !== undefined && !multipart)
        headers['Content-Type'] = 'application/json';
    try {
        response = await fetch(BASE + path, {
            method, headers, cache: 'no-store', credentials: 'omit', redirect: 'error',
            body: body === undefined || multipart ? body : JSON.stringify(body),
        });
    } catch {
        throw new ApiError(0, 'The hub can’t be reached.');
    }
    const answer = await response.json().catch(() => null);
    if (!response.ok)
        throw new ApiError(response.status,
                           (answer && answer.error) || `The hub answered ${response.status}.`);
    return { answer, response };
}

const call = async (method, path, body) => (await send(method, path, body)).answer;

// The whole of a list that is an array: its pages, one after the other.
async function list(path) {
    const rows = [];

    for (let more = true; more;) {
        const { answer, response } = await send('GET', `${path}?limit=100&offset=${rows.length}`);
        rows.push(...answer);
        more = answer.length > 0 && /rel="next"/.test(response.headers.get('Link') || '');
    }
    return rows;
}

const id = encodeURIComponent;

export const agents = () => list('/agents');
export const conversations = (limit, offset) =>
    call('GET', `/conversations?sort=updated_at_desc&limit=${limit}&offset=${offset}`);
export const messages = (job, before) =>
    call('GET', `/conversations/${id(job)}/messages${before ? `?before=${id(before)}` : ''}`);
export const start = (body) => call('POST', '/conversations/start', body);
export const proceed = (job, body) => call('POST', `/conversations/${id(job)}/continue`, body);
export const stop = (job) => call('POST', `/conversations/${id(job)}/stop`, {});

export async function upload(file) {
    const form = new FormData();
    form.append('file', file, file.name);
    return (await call('POST', '/attachments', form)).attachment_id;
}

export async function download(attachment) {
    const { filename, data } = await call('GET', `/attachments/${id(attachment)}`);
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    return { filename, blob: new Blob([bytes], { type: 'application/octet-stream' }) };
}
