// The ways in which pages use the simple protocol: upload, confirm, upload with progress, and upload in parts.

async function post(path, body) {
	const response = await fetch(path, {
		method: 'POST',
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify(body),
	});
	return response.json();
}

window.upload = async file => {
	const { uploadUrl, key } = await post('/get-upload-url', { filename: file.name, contentType: file.type });
	const response = await fetch(uploadUrl, { method: 'PUT', headers: { 'Content-Type': file.type }, body: file });
	if (!response.ok) throw new Error('Upload failed');
	return key;
};

window.confirmUpload = async key => {
	const { fileUrl, success, error } = await post('/confirm-upload', { key });
	if (!success) throw new Error(error);
	return fileUrl;
};

window.uploadWithProgress = async (file, onProgress) => {
	const { uploadUrl, key } = await post('/get-upload-url', { filename: file.name, contentType: file.type });
	await new Promise((resolve, reject) => {
		const xhr = new XMLHttpRequest();
		xhr.upload.addEventListener('progress', event => {
			if (event.lengthComputable) onProgress(Math.round((event.loaded / event.total) * 100));
		});
		xhr.addEventListener('load', () => (xhr.status === 200 ? resolve() : reject(new Error('Upload failed'))));
		xhr.addEventListener('error', () => reject(new Error('Upload failed')));
		xhr.open('PUT', uploadUrl);
		xhr.setRequestHeader('Content-Type', file.type);
		xhr.send(file);
	});
	return key;
};

window.uploadInParts = async (file, partSize) => {
	const partCount = Math.ceil(file.size / partSize);
	const { uploadId, partUrls, key } = await post('/start-multipart', { filename: file.name, contentType: file.type, partCount });
	const parts = await Promise.all(partUrls.map(async (url, index) => {
		const response = await fetch(url, { method: 'PUT', body: file.slice(index * partSize, (index + 1) * partSize) });
		return { ETag: response.headers.get('ETag'), PartNumber: index + 1 };
	}));
	const { fileUrl, success, error } = await post('/complete-multipart', { uploadId, key, parts });
	if (!success) throw new Error(error);
	return { key, fileUrl };
};
