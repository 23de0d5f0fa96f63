// Signs the edge's requests to its origin with AWS Signature Version 4:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
// The nginx configuration sends exactly the headers that are signed here.

import crypto from 'crypto';

const EMPTY_BODY = crypto.createHash('sha256').update('').digest('hex');
const SIGNED_HEADERS = 'host;x-amz-content-sha256;x-amz-date';

// path is the origin's path of the object: the viewer's path, decoded and freed of dot segments by nginx, encoded anew
// byte by byte, under the bucket. Being the canonical URI of the signature too, it cannot differ from it.
function path(r) {
    const key = r.rawVariables.uri;
    let encoded = '/' + r.variables.edge_bucket;
    for (let i = 0; i < key.length; i++) {
        encoded += encodeByte(key[i]);
    }
    return encoded;
}

function encodeByte(byte) {
    const character = String.fromCharCode(byte);
    if (/[A-Za-z0-9\-._~\/]/.test(character)) {
        return character;
    }
    return '%' + (byte < 16 ? '0' : '') + byte.toString(16).toUpperCase();
}

// date is now as 20060102T150405Z. nginx asks once a request, so signature and header agree.
function date() {
    return new Date().toISOString().replace(/[-:]|\.\d+/g, '');
}

function authorization(r) {
    const v = r.variables;
    const scope = [v.edge_date.slice(0, 8), v.edge_region, 's3', 'aws4_request'];
    const canonical = [
        'GET',
        v.edge_path,
        '',
        'host:' + v.edge_origin,
        'x-amz-content-sha256:' + EMPTY_BODY,
        'x-amz-date:' + v.edge_date,
        '',
        SIGNED_HEADERS,
        EMPTY_BODY,
    ].join('\n');
    const toSign = [
        'AWS4-HMAC-SHA256',
        v.edge_date,
        scope.join('/'),
        crypto.createHash('sha256').update(canonical).digest('hex'),
    ].join('\n');
    const key = scope.reduce(hmac, 'AWS4' + v.edge_secret_key);
    const signature = crypto.createHmac('sha256', key).update(toSign).digest('hex');
    return 'AWS4-HMAC-SHA256 Credential=' + v.edge_access_key + '/' + scope.join('/') +
        ', SignedHeaders=' + SIGNED_HEADERS + ', Signature=' + signature;
}

function hmac(key, data) {
    return crypto.createHmac('sha256', key).update(data).digest();
}

function bodyHash() {
    return EMPTY_BODY;
}

// hideOrigin removes what only a client of S3 could use.
function hideOrigin(r) {
    for (const name in r.headersOut) {
        if (name.toLowerCase().startsWith('x-amz-')) {
            delete r.headersOut[name];
        }
    }
}

export default {path, date, authorization, bodyHash, hideOrigin};
