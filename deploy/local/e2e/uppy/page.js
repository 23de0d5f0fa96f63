// A page that uploads by Uppy, as Uppy's documentation has it.
import AwsS3 from '@uppy/aws-s3';
import Uppy from '@uppy/core';
import GoldenRetriever from '@uppy/golden-retriever';

// start makes an Uppy, of that name, with the options of its S3 plugin. What the browser would keep of a file is limited to nothing, so that
// it has to be chosen again after a reload, like any that is large.
window.start = (options, name = 'files') => {
	const uppy = new Uppy({ id: name })
		.use(GoldenRetriever, { indexedDB: { maxFileSize: 1 } })
		.use(AwsS3, options);
	uppy.on('restored', () => { window.restored = true; });
	uppy.on('upload-success', (file, response) => { window.sent = response; });
	uppy.on('upload-error', (file, error) => { window.failure = error.message; });
	document.querySelector('input').onchange = ({ target }) => {
		for (const file of target.files) uppy.addFile({ name: file.name, type: file.type, data: file });
	};
	window.uppy = uppy;
};

// signing are the options by which Uppy 6 asks Sluice, with what tells whose page it is, where to send each request.
window.signing = (sluice, headers) => ({
	generateObjectKey: file => file.id,
	signRequest: async request => {
		const file = window.uppy.getFile(request.key); // of a request that begins an upload
		const response = await fetch(`${sluice}/s3/sign`, {
			method: 'POST',
			headers: { 'Content-Type': 'application/json', ...headers },
			body: JSON.stringify({ ...request, filename: file?.name, contentType: file?.type, size: file?.size }),
		});
		const answer = await response.json();
		if (!response.ok) throw new Error(answer.message);
		return answer;
	},
});

// startBehind makes Uppy 6 with the endpoint of a pass. It tells the sizes of files, since they are counted, and asks what
// is wrong with the pass, since it does not say itself.
window.startBehind = (endpoint, options, name) => {
	window.start({ companionEndpoint: endpoint, ...options }, name);
	window.uppy.on('file-added', file => window.uppy.setFileMeta(file.id, { size: file.size }));
	window.uppy.on('upload-error', async () => {
		const answer = await (await fetch(`${endpoint}/v1/pass`)).json();
		window.explanation = answer.detail ?? '';
	});
};
