// Connect through a proxymux gateway.  Copy it into your own program.
//
//	go run client.go GATEWAY_HOST:PORT TOKEN < request
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

// Connect gives a connection to the target of the token.
func Connect(gateway, token string) (*net.TCPConn, error) {
	conn, err := net.Dial("tcp", gateway)
	if err != nil {
		return nil, err
	}
	status := make([]byte, 3)
	if _, err = conn.Write([]byte(token + "\n")); err == nil {
		_, err = io.ReadFull(conn, status) // not one byte more: what follows is the target's
	}
	if err == nil && string(status) != "200" {
		err = fmt.Errorf("the gateway answers %s", status)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

func main() {
	conn, err := Connect(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() { io.Copy(conn, os.Stdin); conn.CloseWrite() }()
	io.Copy(os.Stdout, conn)
}
