// The usual upload backend: Express, the AWS SDK's presigner, and a row for each permission. It has no
// authentication, no limits and no log, so what it spends is the least that such a backend can.
//
//   PORT, DATABASE_URL, S3_ENDPOINT, S3_BUCKET and the AWS_ variables
import { randomUUID } from 'node:crypto';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import express from 'express';
import pg from 'pg';

const { PORT, DATABASE_URL, S3_ENDPOINT, S3_BUCKET } = process.env;
const extensions = new Map([['image/jpeg', 'jpg'], ['image/png', 'png'], ['image/webp', 'webp'], ['video/mp4', 'mp4']]);
const lifetime = 15 * 60; // seconds
const user = 'user-42';

const s3 = new S3Client({ endpoint: S3_ENDPOINT, forcePathStyle: true });
const database = new pg.Pool({ connectionString: DATABASE_URL, max: 16 });
await database.query(`CREATE TABLE IF NOT EXISTS files (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), owner text, key text, state text, created_at timestamptz DEFAULT now())`);

const app = express();
app.use(express.json());

app.get('/healthz', (_req, res) => res.json({ status: 'ok' }));

app.post('/get-upload-url', async (req, res) => {
  const { filename, contentType } = req.body;
  const extension = extensions.get(contentType);
  if (!filename || !extension) return res.status(400).json({ error: 'File type not allowed' });
  const key = `uploads/${user}/${randomUUID()}.${extension}`;
  await database.query('INSERT INTO files (owner, key, state) VALUES ($1, $2, $3)', [user, key, 'initiated']);
  const put = new PutObjectCommand({ Bucket: S3_BUCKET, Key: key, ContentType: contentType });
  res.json({ uploadUrl: await getSignedUrl(s3, put, { expiresIn: lifetime }), key });
});

app.listen(Number(PORT), '127.0.0.1');
