package domain

import "hash/crc32"

// CombineCRC32 returns the CRC-32 (IEEE, as in ZIP and S3) of two neighbouring pieces from the sums
// a and b of both, without reading a byte again. The second piece has n bytes.
//
// Appending n bytes multiplies the register by x^(8n) modulo the polynomial.
// Polynomials are kept reflected: bit 31 is x^0.
func CombineCRC32(a, b uint32, n int64) uint32 {
	return multiplyCRC(a, powerCRC(uint64(n)*8)) ^ b
}

// powerCRC returns x^e modulo the polynomial.
func powerCRC(e uint64) uint32 {
	result, square := uint32(1)<<31, uint32(1)<<30
	for ; e != 0; e >>= 1 {
		if e&1 != 0 {
			result = multiplyCRC(result, square)
		}
		square = multiplyCRC(square, square)
	}
	return result
}

// multiplyCRC returns a·b modulo the polynomial.
func multiplyCRC(a, b uint32) uint32 {
	var product uint32
	for ; a != 0; a <<= 1 { // from x^0 upwards
		product ^= b & -(a >> 31)
		b = b>>1 ^ crc32.IEEE&-(b&1) // times x
	}
	return product
}
