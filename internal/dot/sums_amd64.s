// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// FOLD adds the eight lanes of a register (y, whose lower half is x) and stores the sum.
#define FOLD(y, x, offset) \
	VEXTRACTF128 $1, y, X15; \
	VADDPS X15, x, x; \
	VHADDPS x, x, x; \
	VHADDPS x, x, x; \
	VMOVSS x, offset(DI)

// CLEAR4 begins four sums in Y0 to Y3, ADD4 adds the products of eight numbers of the rows at SI, R9, R10 and R11 with those at DX and compares how many are done
// with CX, and FOLD4 stores the sums and returns.
#define CLEAR4 \
	VXORPS Y0, Y0, Y0; \
	VXORPS Y1, Y1, Y1; \
	VXORPS Y2, Y2, Y2; \
	VXORPS Y3, Y3, Y3; \
	XORQ AX, AX

#define ADD4 \
	VMOVUPS (DX)(AX*4), Y12; \
	VFMADD231PS (SI)(AX*4), Y12, Y0; \
	VFMADD231PS (R9)(AX*4), Y12, Y1; \
	VFMADD231PS (R10)(AX*4), Y12, Y2; \
	VFMADD231PS (R11)(AX*4), Y12, Y3; \
	ADDQ $8, AX; \
	CMPQ AX, CX

#define FOLD4 \
	FOLD(Y0, X0, 0); \
	FOLD(Y1, X1, 4); \
	FOLD(Y2, X2, 8); \
	FOLD(Y3, X3, 12); \
	VZEROUPPER; \
	RET

// ROW adds the products of a row's eight numbers with those of the three rows in Y12 to Y14.
#define ROW(row, s0, s1, s2) \
	VMOVUPS (row)(AX*4), Y15; \
	VFMADD231PS Y12, Y15, s0; \
	VFMADD231PS Y13, Y15, s1; \
	VFMADD231PS Y14, Y15, s2

// func tile4x3(dst *[12]float32, a, b *float32, stride, n int)
TEXT ·tile4x3(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ stride+24(FP), R8
	MOVQ n+32(FP), CX
	LEAQ (SI)(R8*1), R9
	LEAQ (SI)(R8*2), R10
	LEAQ (R9)(R8*2), R11
	LEAQ (DX)(R8*1), R12
	LEAQ (DX)(R8*2), R13
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11
	XORQ AX, AX

next4x3:
	VMOVUPS (DX)(AX*4), Y12
	VMOVUPS (R12)(AX*4), Y13
	VMOVUPS (R13)(AX*4), Y14
	ROW(SI, Y0, Y1, Y2)
	ROW(R9, Y3, Y4, Y5)
	ROW(R10, Y6, Y7, Y8)
	ROW(R11, Y9, Y10, Y11)
	ADDQ $8, AX
	CMPQ AX, CX
	JLT  next4x3

	FOLD(Y0, X0, 0)
	FOLD(Y1, X1, 4)
	FOLD(Y2, X2, 8)
	FOLD(Y3, X3, 12)
	FOLD(Y4, X4, 16)
	FOLD(Y5, X5, 20)
	FOLD(Y6, X6, 24)
	FOLD(Y7, X7, 28)
	FOLD(Y8, X8, 32)
	FOLD(Y9, X9, 36)
	FOLD(Y10, X10, 40)
	FOLD(Y11, X11, 44)
	VZEROUPPER
	RET

// func tile4x1(dst *[4]float32, a, b *float32, stride, n int)
TEXT ·tile4x1(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ stride+24(FP), R8
	MOVQ n+32(FP), CX
	LEAQ (SI)(R8*1), R9
	LEAQ (SI)(R8*2), R10
	LEAQ (R9)(R8*2), R11
	CLEAR4

next4x1:
	ADD4
	JLT  next4x1

	FOLD4

// func tile1x1(dst, a, b *float32, n int)
TEXT ·tile1x1(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ n+24(FP), CX
	VXORPS Y0, Y0, Y0
	XORQ AX, AX

next1x1:
	VMOVUPS (DX)(AX*4), Y12
	VFMADD231PS (SI)(AX*4), Y12, Y0
	ADDQ $8, AX
	CMPQ AX, CX
	JLT  next1x1

	FOLD(Y0, X0, 0)
	VZEROUPPER
	RET

// func descend(tops, c, rough, v *float32, a float32, mask uint32, blocks int)
TEXT ·descend(SB), NOSPLIT, $0-48
	MOVQ tops+0(FP), DI
	MOVQ c+8(FP), SI
	MOVQ rough+16(FP), DX
	MOVQ v+24(FP), R8
	VBROADCASTSS a+32(FP), Y1
	VBROADCASTSS mask+36(FP), Y2
	MOVQ blocks+40(FP), CX
	XORQ AX, AX

nextblock:
	VXORPS Y0, Y0, Y0
	VPCMPEQD Y0, Y0, Y0
	VPSLLD $23, Y0, Y0 // eight times minus infinity
	MOVQ $8, BX

nexteight:
	VMOVUPS (SI)(AX*4), Y3
	VFMADD231PS (R8)(AX*4), Y1, Y3
	VMOVUPS Y3, (SI)(AX*4)
	VANDPS Y2, Y3, Y3
	VADDPS (DX)(AX*4), Y3, Y3
	VMAXPS Y3, Y0, Y0
	ADDQ $8, AX
	DECQ BX
	JNZ  nexteight

	VEXTRACTF128 $1, Y0, X3
	VMAXPS X3, X0, X0
	VPERMILPS $0x4E, X0, X3
	VMAXPS X3, X0, X0
	VPERMILPS $0xB1, X0, X3
	VMAXSS X3, X0, X0
	VMOVSS X0, (DI)
	ADDQ $4, DI
	DECQ CX
	JNZ  nextblock

	VZEROUPPER
	RET

// func reach(upper, tops, v, offset, slack *float32, a, long float32, mask uint32, chunks int)
TEXT ·reach(SB), NOSPLIT, $0-64
	MOVQ upper+0(FP), DI
	MOVQ tops+8(FP), R9
	MOVQ v+16(FP), SI
	MOVQ offset+24(FP), DX
	MOVQ slack+32(FP), R8
	VBROADCASTSS a+40(FP), Y1
	VBROADCASTSS long+44(FP), Y2
	VBROADCASTSS mask+48(FP), Y8
	MOVQ chunks+56(FP), CX
	VPCMPEQD Y9, Y9, Y9
	VPSRLD $1, Y9, Y9 // all bits but the sign
	MOVL $0x34800000, AX // 2^-22
	VMOVD AX, X10
	VBROADCASTSS X10, Y10
	VPCMPEQD Y11, Y11, Y11
	VPSLLD $23, Y11, Y11 // minus infinity
	XORQ AX, AX

nextchunk:
	VMOVAPS Y11, Y6 // the largest upper bounds
	MOVQ $8, BX

nextlanes:
	VMULPS (SI)(AX*4), Y1, Y3
	VMOVUPS (DX)(AX*4), Y4
	VANDPS Y9, Y3, Y5
	VANDPS Y9, Y4, Y12
	VADDPS Y12, Y5, Y5
	VMULPS Y10, Y5, Y5
	VFMADD231PS (R8)(AX*4), Y2, Y5
	VADDPS Y4, Y3, Y3
	VANDPS Y8, Y3, Y3
	VADDPS Y5, Y3, Y12
	VMOVUPS Y12, (DI)(AX*4)
	VMAXPS Y6, Y12, Y6 // of a number that is none the other
	ADDQ $8, AX
	DECQ BX
	JNZ  nextlanes

	VMOVUPS Y6, (R9)
	ADDQ $32, R9
	DECQ CX
	JNZ  nextchunk

	VZEROUPPER
	RET

// func collect(dst *int32, v *float32, floor float32, n int) int
TEXT ·collect(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ v+8(FP), SI
	VBROADCASTSS floor+16(FP), Y0
	MOVQ n+24(FP), CX
	MOVQ DI, R8
	XORQ AX, AX

nextcompare:
	VCMPPS $2, (SI)(AX*4), Y0, Y1 // floor <= v, and false of what is no number
	VMOVMSKPS Y1, BX
	TESTL BX, BX
	JNZ  found

nonefound:
	ADDQ $8, AX
	CMPQ AX, CX
	JLT  nextcompare

	SUBQ R8, DI
	SHRQ $2, DI
	MOVQ DI, ret+32(FP)
	VZEROUPPER
	RET

found:
	BSFL BX, DX
	ADDL AX, DX
	MOVL DX, (DI)
	ADDQ $4, DI
	LEAL -1(BX), DX
	ANDL DX, BX
	JNZ  found
	JMP  nonefound

// func rows4(dst *[4]float32, at *[8]*float32, x *float32, n int)
TEXT ·rows4(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ at+8(FP), BX
	MOVQ x+16(FP), DX
	MOVQ n+24(FP), CX
	MOVQ 0(BX), SI
	MOVQ 8(BX), R9
	MOVQ 16(BX), R10
	MOVQ 24(BX), R11
	MOVQ 32(BX), R8
	MOVQ 40(BX), R12
	MOVQ 48(BX), R13
	MOVQ 56(BX), BX
	CLEAR4

nextrows4:
	PREFETCHT0 (R8)(AX*4)
	PREFETCHT0 (R12)(AX*4)
	PREFETCHT0 (R13)(AX*4)
	PREFETCHT0 (BX)(AX*4)
	ADD4
	JLT  nextrows4

	FOLD4

// func largest(v *float32, n int) float32
TEXT ·largest(SB), NOSPLIT, $0-20
	MOVQ v+0(FP), SI
	MOVQ n+8(FP), CX
	VPCMPEQD Y0, Y0, Y0
	VPSLLD $23, Y0, Y0 // minus infinity
	VMOVAPS Y0, Y1
	VMOVAPS Y0, Y2
	VMOVAPS Y0, Y3
	XORQ AX, AX
	MOVQ CX, DX
	ANDQ $-32, DX
	JEQ  rest

next32:
	VMOVUPS (SI)(AX*4), Y4
	VMOVUPS 32(SI)(AX*4), Y5
	VMOVUPS 64(SI)(AX*4), Y6
	VMOVUPS 96(SI)(AX*4), Y7
	VMAXPS Y0, Y4, Y0 // of a number that is none the other
	VMAXPS Y1, Y5, Y1
	VMAXPS Y2, Y6, Y2
	VMAXPS Y3, Y7, Y3
	ADDQ $32, AX
	CMPQ AX, DX
	JLT  next32

rest:
	CMPQ AX, CX
	JGE  fold
	VMOVUPS (SI)(AX*4), Y4
	VMAXPS Y0, Y4, Y0
	ADDQ $8, AX
	JMP  rest

fold:
	VMAXPS Y1, Y0, Y0
	VMAXPS Y2, Y0, Y0
	VMAXPS Y3, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VMAXPS X1, X0, X0
	VPERMILPS $0x4E, X0, X1
	VMAXPS X1, X0, X0
	VPERMILPS $0xB1, X0, X1
	VMAXSS X1, X0, X0
	VMOVSS X0, ret+16(FP)
	VZEROUPPER
	RET

// func find(v *float32, x float32, n int) int
TEXT ·find(SB), NOSPLIT, $0-32
	MOVQ v+0(FP), SI
	VBROADCASTSS x+8(FP), Y0
	MOVQ n+16(FP), CX
	XORQ AX, AX

nextfind:
	VCMPPS $0, (SI)(AX*4), Y0, Y1
	VMOVMSKPS Y1, BX
	TESTL BX, BX
	JNZ  there
	ADDQ $8, AX
	CMPQ AX, CX
	JLT  nextfind
	MOVQ $-1, AX
	MOVQ AX, ret+24(FP)
	VZEROUPPER
	RET

there:
	BSFL BX, BX
	ADDQ BX, AX
	MOVQ AX, ret+24(FP)
	VZEROUPPER
	RET
