import java.io.BufferedInputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** Reads a ZIP from a pipe and prints the CRC-32, size and name of every entry. */
public class ReadZip {
  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false, "UTF-8");
    ZipInputStream zip = new ZipInputStream(new BufferedInputStream(System.in, 1 << 16), StandardCharsets.UTF_8);
    byte[] buffer = new byte[1 << 16];
    for (ZipEntry entry; (entry = zip.getNextEntry()) != null; ) {
      CRC32 crc = new CRC32();
      long size = 0;
      for (int n; (n = zip.read(buffer)) > 0; size += n) {
        crc.update(buffer, 0, n);
      }
      zip.closeEntry();
      if (entry.getMethod() != ZipEntry.STORED || entry.getCrc() != crc.getValue() || entry.getSize() != size) {
        throw new IllegalStateException("header and data disagree: " + entry.getName());
      }
      out.printf("%08x %d %s%n", crc.getValue(), size, entry.getName());
    }
    out.flush();
  }
}
