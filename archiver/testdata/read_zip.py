"""Reads a ZIP and prints the CRC-32, size and name of every entry."""
import sys
import zipfile
import zlib

sys.stdout.reconfigure(encoding="utf-8")
with zipfile.ZipFile(sys.argv[1]) as archive:
    for info in archive.infolist():
        crc = size = 0
        with archive.open(info) as data:
            while block := data.read(1 << 20):
                crc = zlib.crc32(block, crc)
                size += len(block)
        print(f"{crc:08x} {size} {info.filename}")
