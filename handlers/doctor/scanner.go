package doctor

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-media/sluice/handlers/scan"
)

// signaturesOld is the age from which the signatures are too old: ClamAV makes new ones every day.
const signaturesOld = 3 * 24 * time.Hour

// eicar is the standard antivirus test string, in two parts so that no scanner takes this program for it. See
// https://www.eicar.org/download-anti-malware-testfile/.
const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-` + `STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

// depth is that of nested archives that is beyond any sensible MaxRecursion, whose default is 17.
const depth = 120

func (d *Doctor) examineScanner(ctx context.Context) []Finding {
	version, err := d.Clamd.Version(ctx)
	if err != nil {
		return []Finding{broken("clamd", "check SLUICE_CLAMD_ADDRESS, and that clamd runs and has loaded its signatures", err)}
	}
	return []Finding{
		ok("clamd", "ClamAV %s answers", version.Engine),
		d.checkSignatures(version, time.Now()),
		d.checkDetection(ctx),
		d.checkStreamLimit(ctx),
		d.checkAlert(ctx, "clamd on limits", nested(), "Heuristics.Limits.Exceeded", "set AlertExceedsMax yes in clamd.conf",
			"an archive nested beyond MaxRecursion"),
		d.checkAlert(ctx, "clamd on encryption", encrypted(), "Heuristics.Encrypted", "set AlertEncrypted yes in clamd.conf",
			"an encrypted archive"),
	}
}

func (d *Doctor) checkSignatures(v scan.Version, now time.Time) Finding {
	const check = "signatures"
	switch {
	case v.Signatures == 0 && d.config.TestSignatures:
		return warn(check, "for anything but development run freshclam and unset SLUICE_CLAMD_TEST_SIGNATURES", "test signatures only, as configured")
	case v.Signatures == 0:
		return fail(check, "run freshclam, or set SLUICE_CLAMD_TEST_SIGNATURES if this is for development", "clamd has no official signatures: it finds next to nothing")
	case now.Sub(v.Built) > signaturesOld:
		return warn(check, "see why freshclam does not run", "version %d is %s old", v.Signatures, now.Sub(v.Built).Round(time.Hour))
	}
	return ok(check, "version %d of %s", v.Signatures, v.Built.Format(time.DateOnly))
}

func (d *Doctor) checkDetection(ctx context.Context) Finding {
	const check = "detection"
	reply, err := d.Clamd.Scan(ctx, strings.NewReader(eicar))
	switch {
	case err != nil:
		return broken(check, "see clamd's log", err)
	case !strings.HasSuffix(reply, " FOUND"):
		return fail(check, "see which databases clamd has loaded, and its log", "clamd says %.80q of the EICAR test file", reply)
	}
	return ok(check, "clamd finds the EICAR test file")
}

// checkStreamLimit can tell of one limit only: clamd shows none, and files of the size it takes to meet the others are
// too much to send.
func (d *Doctor) checkStreamLimit(ctx context.Context) Finding {
	const check = "scan size"
	takes, err := d.Clamd.TakesStream(ctx, d.config.ScanMaxSize)
	switch {
	case err != nil:
		return broken(check, "see clamd's log", err)
	case !takes:
		return fail(check, fmt.Sprintf("set StreamMaxLength, MaxFileSize and MaxScanSize in clamd.conf to %d or more, or lower SLUICE_SCAN_MAX_SIZE", d.config.ScanMaxSize),
			"SLUICE_SCAN_MAX_SIZE is %d bytes, but that is above clamd's StreamMaxLength", d.config.ScanMaxSize)
	}
	return ok(check, "clamd takes %d bytes; not checked: its MaxFileSize and MaxScanSize must not be lower", d.config.ScanMaxSize)
}

// checkAlert scans a file that clamd must not vouch for, and does unless it is told not to.
func (d *Doctor) checkAlert(ctx context.Context, check string, file []byte, alert, fix, what string) Finding {
	reply, err := d.Clamd.Scan(ctx, bytes.NewReader(file))
	switch {
	case err != nil:
		return broken(check, "see clamd's log", err)
	case !strings.HasPrefix(reply, "stream: "+alert):
		return fail(check, fix, "clamd says %.80q of %s, which it cannot look into", reply, what)
	}
	return ok(check, "clamd does not vouch for %s", what)
}

// nested is an archive in an archive, and so on.
func nested() []byte {
	file := []byte("deep")
	for range depth {
		file = archive(zip.FileHeader{Name: "a.zip", Method: zip.Store}, file)
	}
	return file
}

// encrypted is an archive that says of its only file that it is encrypted.
func encrypted() []byte {
	const flag = 1 // of an encrypted file; see 4.4.4 of PKWARE's APPNOTE.TXT
	secret := []byte("\x9c\x02\xe1\x55\x3b\x80\x17\x4f\xaa\x6d\x08\x91 not to be read by anyone")
	return archive(zip.FileHeader{
		Name: "secret", Method: zip.Store, Flags: flag, CompressedSize64: uint64(len(secret)), UncompressedSize64: uint64(len(secret)) - 12, CRC32: 0x5eC4e7,
	}, secret)
}

// archive holds data as it is; a bytes.Buffer takes all that is written.
func archive(h zip.FileHeader, data []byte) []byte {
	var file bytes.Buffer
	w := zip.NewWriter(&file)
	create := w.CreateHeader
	if h.Flags != 0 {
		create = w.CreateRaw
	}
	if member, err := create(&h); err == nil {
		_, _ = member.Write(data)
	}
	_ = w.Close()
	return file.Bytes()
}
