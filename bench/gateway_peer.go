// A gateway in Go, for bench/gateway.py to compare with: a goroutine for each connection and direction.
//
//	gateway_peer PORT SECRET
package main

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"encoding/base64"
	"io"
	"net"
	"os"
	"time"
)

func open(token, secret []byte) (string, bool) {
	data, err := base64.StdEncoding.DecodeString(string(token))
	if err != nil || len(data) < 32 || len(data)%16 != 0 || string(data[:8]) != "Salted__" {
		return "", false
	}
	var derived, block []byte
	for len(derived) < 48 {
		sum := md5.Sum(append(append(append([]byte{}, block...), secret...), data[8:16]...))
		block = sum[:]
		derived = append(derived, block...)
	}
	cipherBlock, err := aes.NewCipher(derived[:32])
	if err != nil {
		return "", false
	}
	plain := make([]byte, len(data)-16)
	cipher.NewCBCDecrypter(cipherBlock, derived[32:]).CryptBlocks(plain, data[16:])
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > 16 {
		return "", false
	}
	return string(plain[:len(plain)-pad]), true
}

func serve(client *net.TCPConn, secret []byte) {
	defer client.Close()
	reader := bufio.NewReaderSize(client, 1026)
	line, err := reader.ReadSlice('\n')
	if err != nil {
		client.Write([]byte("400"))
		return
	}
	address, ok := open(line[:len(line)-1], secret)
	if !ok {
		client.Write([]byte("401"))
		return
	}
	upstream, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err != nil {
		client.Write([]byte("502"))
		return
	}
	defer upstream.Close()
	client.Write([]byte("200"))
	if rest, _ := reader.Peek(reader.Buffered()); len(rest) > 0 {
		upstream.Write(rest)
	}
	go func() {
		io.Copy(upstream, client)
		upstream.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(client, upstream)
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		panic(err)
	}
	for {
		conn, err := listener.Accept()
		if err == nil {
			go serve(conn.(*net.TCPConn), []byte(os.Args[2]))
		}
	}
}
